//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use super::{items, put};

/// A pod: its spec, and service links, which templates do not get.
pub(super) fn pod(object: &mut Value) {
    spec(&mut object["spec"]);
    put(&mut object["spec"], "enableServiceLinks", json!(true));
    if object["spec"]["hostNetwork"] == true {
        for container in items(&mut object["spec"], "containers") {
            for port in items(container, "ports") {
                let number = port["containerPort"].clone();
                put(port, "hostPort", number);
            }
        }
    }
}

/// A pod spec, also inside templates.
pub(super) fn spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    put(spec, "restartPolicy", json!("Always"));
    put(spec, "terminationGracePeriodSeconds", json!(30));
    put(spec, "dnsPolicy", json!("ClusterFirst"));
    put(spec, "schedulerName", json!("default-scheduler"));
    put(spec, "securityContext", json!({}));
    let (account, deprecated) = (spec["serviceAccountName"].clone(), spec["serviceAccount"].clone());
    if account.is_string() {
        spec["serviceAccount"] = account;
    } else if deprecated.is_string() {
        spec["serviceAccountName"] = deprecated;
    }
    for null in ["serviceAccountName", "serviceAccount"] {
        if let Some(map) = spec.as_object_mut().filter(|map| map.get(null).is_some_and(Value::is_null)) {
            map.remove(null);
        }
    }
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        items(spec, field).for_each(container);
    }
    items(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    put(container, "terminationMessagePath", json!("/dev/termination-log"));
    put(container, "terminationMessagePolicy", json!("File"));
    put(container, "resources", json!({}));
    let policy = pull_policy(container["image"].as_str().unwrap_or(""));
    put(container, "imagePullPolicy", json!(policy));
    for port in items(container, "ports") {
        put(port, "protocol", json!("TCP"));
    }
    for variable in items(container, "env") {
        if variable["valueFrom"]["fieldRef"].is_object() {
            put(&mut variable["valueFrom"]["fieldRef"], "apiVersion", json!("v1"));
        }
        let resource = variable.get_mut("valueFrom").and_then(|from| from.get_mut("resourceFieldRef"));
        if let Some(resource) = resource.filter(|resource| resource.is_object()) {
            put(resource, "divisor", json!("0"));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(one) = container.get_mut(name) {
            probe(one);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = container
            .get_mut("lifecycle")
            .and_then(|lifecycle| lifecycle.get_mut(hook))
            .and_then(|hook| hook.get_mut("httpGet"))
        {
            http_get(get);
        }
    }
    limits_as_requests(&mut container["resources"]);
}

/// A limit without a request is the request too.
fn limits_as_requests(resources: &mut Value) {
    let limits = resources["limits"].as_object().cloned().unwrap_or_default();
    for (name, limit) in limits {
        if resources["requests"][&name].is_null() {
            resources["requests"][&name] = limit;
        }
    }
    for empty in ["requests", "limits"] {
        if let Some(map) = resources.as_object_mut().filter(|map| map.get(empty).is_some_and(Value::is_null))
        {
            map.remove(empty);
        }
    }
}

/// `Always` for `latest` and untagged images.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map_or("latest", |(_, tag)| tag);
    if tag == "latest" { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Value) {
    put(probe, "timeoutSeconds", json!(1));
    put(probe, "periodSeconds", json!(10));
    put(probe, "successThreshold", json!(1));
    put(probe, "failureThreshold", json!(3));
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        put(grpc, "service", json!(""));
    }
}

fn http_get(get: &mut Value) {
    put(get, "path", json!("/"));
    put(get, "scheme", json!("HTTP"));
}

fn volume(volume: &mut Value) {
    const SOURCES: &[&str] = &[
        "emptyDir",
        "configMap",
        "secret",
        "projected",
        "downwardAPI",
        "hostPath",
        "persistentVolumeClaim",
        "csi",
        "ephemeral",
        "nfs",
        "image",
        "iscsi",
        "rbd",
        "fc",
        "cephfs",
        "glusterfs",
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cinder",
        "flexVolume",
        "flocker",
        "gitRepo",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    ];
    if !SOURCES.iter().any(|source| volume.get(source).is_some()) {
        put(volume, "emptyDir", json!({}));
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source) {
            put(source, "defaultMode", json!(420));
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        put(path, "type", json!(""));
    }
    if let Some(api) = volume.get_mut("downwardAPI") {
        items(api, "items").for_each(downward_file);
    }
    for source in volume
        .get_mut("projected")
        .and_then(|one| one.get_mut("sources"))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            put(token, "expirationSeconds", json!(3600));
        }
        if let Some(api) = source.get_mut("downwardAPI") {
            items(api, "items").for_each(downward_file);
        }
    }
}

fn downward_file(file: &mut Value) {
    if let Some(field) = file.get_mut("fieldRef") {
        put(field, "apiVersion", json!("v1"));
    }
    if let Some(field) = file.get_mut("resourceFieldRef") {
        put(field, "divisor", json!("0"));
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from requests and limits of cpu and memory.
pub(crate) fn quality_of_service(pod: &Value) -> &'static str {
    let containers = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|field| pod["spec"][field].as_array().into_iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let limit = container["resources"]["limits"][resource].as_str();
            let request = container["resources"]["requests"][resource].as_str();
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
