//! The columns that `kubectl get` shows of built-in kinds.

mod autoscaler;
mod workload;

use serde_json::{Value, json};

use super::subresource::selector_text;
use super::table::Column;
use crate::apiserver::kinds::kind_key;
use crate::apiserver::operations::Target;

/// Columns by kind: `Name`, type (default string), `!` for columns of `-o wide`.
fn headings(target: &Target) -> &'static str {
    match kind_key(target) {
        ("", "pods") => "Name,Ready,Status,Restarts,Age,IP!,Node!,Nominated Node!,Readiness Gates!",
        ("", "services") => "Name,Type,Cluster-IP,External-IP,Port(s),Age,Selector!",
        ("", "namespaces") => "Name,Status,Age",
        ("", "nodes") => {
            "Name,Status,Roles,Age,Version,Internal-IP!,External-IP!,OS-Image!,Kernel-Version!,Container-Runtime!"
        }
        ("", "configmaps") => "Name,Data,Age",
        ("", "secrets") => "Name,Type,Data,Age",
        ("", "serviceaccounts") => "Name,Secrets,Age",
        ("", "endpoints") => "Name,Endpoints,Age",
        ("", "events") => "Last Seen,Type,Reason,Object,Subobject!,Source!,Message,First Seen!,Count!,Name!",
        ("", "persistentvolumeclaims") => {
            "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,VolumeMode!"
        }
        ("", "replicationcontrollers") => "Name,Desired,Current,Ready,Age,Containers!,Images!,Selector!",
        ("apps", "deployments") => "Name,Ready,Up-to-date,Available,Age,Containers!,Images!,Selector!",
        ("apps", "replicasets") => "Name,Desired,Current,Ready,Age,Containers!,Images!,Selector!",
        ("apps", "statefulsets") => "Name,Ready,Age,Containers!,Images!",
        ("apps", "daemonsets") => {
            "Name,Desired,Current,Ready,Up-to-date,Available,Node Selector,Age,Containers!,Images!,Selector!"
        }
        ("batch", "jobs") => "Name,Status,Completions,Duration,Age,Containers!,Images!,Selector!",
        ("batch", "cronjobs") => {
            "Name,Schedule,Timezone,Suspend,Active,Last Schedule,Age,Containers!,Images!,Selector!"
        }
        ("discovery.k8s.io", "endpointslices") => "Name,AddressType,Ports,Endpoints,Age",
        ("networking.k8s.io", "ingresses") => "Name,Class,Hosts,Address,Ports,Age",
        ("networking.k8s.io", "ingressclasses") => "Name,Controller,Parameters,Age",
        ("networking.k8s.io", "networkpolicies") => "Name,Pod-Selector,Age",
        ("policy", "poddisruptionbudgets") => "Name,Min Available,Max Unavailable,Allowed Disruptions,Age",
        ("coordination.k8s.io", "leases") => "Name,Holder,Age",
        ("autoscaling", _) => "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => "Name,Webhooks,Age",
        ("apiextensions.k8s.io", _) => "Name,Created At",
        ("apiregistration.k8s.io", _) => "Name,Service,Available,Age",
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => "Name,Created At",
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            "Name,Role,Age,Users!,Groups!,ServiceAccounts!"
        }
        ("storage.k8s.io", "storageclasses") => {
            "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age"
        }
        ("scheduling.k8s.io", _) => "Name,Value,Global-Default,Age,PreemptionPolicy",
        _ => "Name,Age",
    }
}

/// The columns of a kind.
pub(super) fn columns(target: &Target) -> Vec<Column> {
    let headings = headings(target).split(',');
    headings
        .map(|heading| {
            let (name, priority) = heading.strip_suffix('!').map_or((heading, 0), |name| (name, 1));
            let number = matches!(
                name,
                "Desired"
                    | "Current"
                    | "Up-to-date"
                    | "Available"
                    | "Secrets"
                    | "Webhooks"
                    | "Count"
                    | "Allowed Disruptions"
                    | "Active"
                    | "Value"
            );
            let integer = number && !(name == "Available" && kind_key(target).0 == "apiregistration.k8s.io");
            Column::new(name, if integer { "integer" } else { "string" }, priority)
        })
        .collect()
}

/// The row of an object.
pub(super) fn cells(target: &Target, object: &Value) -> Vec<Value> {
    let kind = kind_key(target);
    let name = object["metadata"]["name"].clone();
    let created = json!(age(&object["metadata"]["creationTimestamp"]));
    let mut cells = vec![name];
    match kind {
        ("", "pods") => cells.extend(workload::pod(object, created)),
        ("", "replicationcontrollers") | ("apps" | "batch", _) => {
            cells.extend(workload::cells(kind.1, object, created))
        }
        ("", "services") => cells.extend(service(object, created)),
        ("", "nodes") => cells.extend(node(object, created)),
        ("", "events") => return event(object),
        ("", "namespaces") => cells.extend([object["status"]["phase"].clone(), created]),
        ("", "configmaps") => {
            cells.extend([json!(count(&object["data"]) + count(&object["binaryData"])), created])
        }
        ("", "secrets") => cells.extend([object["type"].clone(), json!(count(&object["data"])), created]),
        ("", "serviceaccounts") => cells.extend([json!(count(&object["secrets"])), created]),
        ("", "endpoints") => cells.extend([json!(endpoints(object)), created]),
        ("", "persistentvolumeclaims") => cells.extend(claim(object, created)),
        ("discovery.k8s.io", "endpointslices") => cells.extend(slice(object, created)),
        ("networking.k8s.io", "ingresses") => cells.extend(ingress(object, created)),
        ("networking.k8s.io", "ingressclasses") => {
            cells.extend([object["spec"]["controller"].clone(), json!("<none>"), created])
        }
        ("networking.k8s.io", "networkpolicies") => {
            cells.extend([json!(or_none(selector_text(&object["spec"]["podSelector"]))), created])
        }
        ("policy", _) => {
            let or_na = |value: &Value| if value.is_null() { json!("N/A") } else { json!(text(value)) };
            let spec = &object["spec"];
            let allowed = json!(object["status"]["disruptionsAllowed"].as_i64().unwrap_or(0));
            cells.extend([or_na(&spec["minAvailable"]), or_na(&spec["maxUnavailable"]), allowed, created]);
        }
        ("coordination.k8s.io", _) => cells.extend([json!(text(&object["spec"]["holderIdentity"])), created]),
        ("autoscaling", _) => cells.extend(autoscaler::cells(object, created)),
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => {
            cells.extend([json!(count(&object["webhooks"])), created]);
        }
        ("apiextensions.k8s.io", _) | ("rbac.authorization.k8s.io", "roles" | "clusterroles") => {
            cells.push(object["metadata"]["creationTimestamp"].clone());
        }
        ("rbac.authorization.k8s.io", _) => cells.extend(binding(object, created)),
        ("apiregistration.k8s.io", _) => cells.extend([json!("Local"), json!("True"), created]),
        ("storage.k8s.io", "storageclasses") => {
            let expands = json!(object["allowVolumeExpansion"] == true);
            cells.extend([
                object["provisioner"].clone(),
                object["reclaimPolicy"].clone(),
                object["volumeBindingMode"].clone(),
                expands,
                created,
            ]);
        }
        ("scheduling.k8s.io", _) => {
            let default = json!(object["globalDefault"] == true);
            cells.extend([object["value"].clone(), default, created, object["preemptionPolicy"].clone()]);
        }
        _ => cells.push(created),
    }
    cells
}

/// Time since a timestamp as kubectl shows it: `5s`, `3m12s`, `4h7m`, `2d3h`, `45d`, `3y12d`.
pub(super) fn age(timestamp: &Value) -> String {
    let Some(then) = timestamp.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    human(jiff::Timestamp::now().as_second() - then.as_second())
}

/// A duration in seconds as kubectl shows it.
pub(super) fn human(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair =
        |first: String, rest: i64, unit: &str| if rest == 0 { first } else { format!("{first}{rest}{unit}") };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(format!("{minutes}m"), seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(format!("{hours}h"), minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(format!("{days}d"), hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(format!("{}y", days / 365), days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn count(value: &Value) -> usize {
    value.as_object().map(|map| map.len()).or(value.as_array().map(Vec::len)).unwrap_or(0)
}

fn service(object: &Value, created: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let addresses: Vec<String> = list(&object["status"]["loadBalancer"]["ingress"])
        .map(|one| text(if one["ip"].is_string() { &one["ip"] } else { &one["hostname"] }))
        .chain(list(&spec["externalIPs"]).map(text))
        .collect();
    let external = match (spec["type"].as_str(), addresses.is_empty()) {
        (Some("ExternalName"), _) => text(&spec["externalName"]),
        (Some("LoadBalancer"), true) => "<pending>".to_owned(),
        (_, true) => "<none>".to_owned(),
        _ => addresses.join(","),
    };
    let ports: Vec<String> = list(&spec["ports"])
        .map(|port| match port["nodePort"].as_i64() {
            Some(node_port) if node_port > 0 => {
                format!("{}:{node_port}/{}", port["port"], text(&port["protocol"]))
            }
            _ => format!("{}/{}", port["port"], text(&port["protocol"])),
        })
        .collect();
    let selector = or_none(selector_text(&spec["selector"]));
    vec![
        spec["type"].clone(),
        json!(or_none(text(&spec["clusterIP"]))),
        json!(external),
        json!(or_none(ports.join(","))),
        created,
        json!(selector),
    ]
}

fn node(object: &Value, created: Value) -> Vec<Value> {
    let ready = list(&object["status"]["conditions"]).find(|one| one["type"] == "Ready");
    let mut status = match ready.map(|one| one["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(label, _)| label.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    let info = &object["status"]["nodeInfo"];
    let address = |kind: &str| {
        let found = list(&object["status"]["addresses"]).find(|one| one["type"] == kind);
        or_none(found.map(|one| text(&one["address"])).unwrap_or_default())
    };
    vec![
        json!(status),
        json!(or_none(roles.join(","))),
        created,
        info["kubeletVersion"].clone(),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        info["osImage"].clone(),
        info["kernelVersion"].clone(),
        info["containerRuntimeVersion"].clone(),
    ]
}

fn event(object: &Value) -> Vec<Value> {
    let involved = &object["involvedObject"];
    let last = [
        &object["series"]["lastObservedTime"],
        &object["lastTimestamp"],
        &object["eventTime"],
        &object["firstTimestamp"],
    ];
    let last =
        last.into_iter().find(|time| time.is_string()).unwrap_or(&object["metadata"]["creationTimestamp"]);
    let first = if object["firstTimestamp"].is_string() { &object["firstTimestamp"] } else { last };
    let shown = format!("{}/{}", text(&involved["kind"]).to_lowercase(), text(&involved["name"]));
    let source = if object["source"]["component"].is_string() {
        &object["source"]["component"]
    } else {
        &object["reportingComponent"]
    };
    vec![
        json!(age(last)),
        object["type"].clone(),
        object["reason"].clone(),
        json!(shown),
        json!(text(&involved["fieldPath"])),
        json!(text(source)),
        json!(text(&object["message"]).trim()),
        json!(age(first)),
        json!(object["count"].as_i64().unwrap_or(1)),
        object["metadata"]["name"].clone(),
    ]
}

fn endpoints(object: &Value) -> String {
    let mut shown = Vec::new();
    for subset in list(&object["subsets"]) {
        for address in list(&subset["addresses"]) {
            let ports: Vec<&Value> = list(&subset["ports"]).collect();
            if ports.is_empty() {
                shown.push(text(&address["ip"]));
            }
            shown.extend(ports.iter().map(|port| format!("{}:{}", text(&address["ip"]), port["port"])));
        }
    }
    more_than_three(shown)
}

fn more_than_three(mut shown: Vec<String>) -> String {
    let hidden = shown.len().saturating_sub(3);
    shown.truncate(3);
    match (shown.is_empty(), hidden) {
        (true, _) => "<none>".to_owned(),
        (_, 0) => shown.join(","),
        _ => format!("{} + {hidden} more...", shown.join(",")),
    }
}

fn slice(object: &Value, created: Value) -> Vec<Value> {
    let ports: Vec<String> = list(&object["ports"]).map(|port| text(&port["port"])).collect();
    let addresses: Vec<String> =
        list(&object["endpoints"]).flat_map(|one| list(&one["addresses"])).map(text).collect();
    let ports = if ports.is_empty() { "<unset>".to_owned() } else { more_than_three(ports) };
    let addresses = if addresses.is_empty() { "<unset>".to_owned() } else { more_than_three(addresses) };
    vec![object["addressType"].clone(), json!(ports), json!(addresses), created]
}

fn ingress(object: &Value, created: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<String> =
        list(&spec["rules"]).map(|rule| text(&rule["host"])).filter(|host| !host.is_empty()).collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { more_than_three(hosts) };
    let addresses: Vec<String> =
        list(&object["status"]["loadBalancer"]["ingress"]).map(|one| text(&one["ip"])).collect();
    let ports = if list(&spec["tls"]).next().is_some() { "80, 443" } else { "80" };
    vec![
        json!(or_none(text(&spec["ingressClassName"]))),
        json!(hosts),
        json!(addresses.join(",")),
        json!(ports),
        created,
    ]
}

fn claim(object: &Value, created: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let modes: Vec<String> = list(&spec["accessModes"])
        .map(|mode| match mode.as_str() {
            Some("ReadWriteOnce") => "RWO".to_owned(),
            Some("ReadOnlyMany") => "ROX".to_owned(),
            Some("ReadWriteMany") => "RWX".to_owned(),
            _ => text(mode),
        })
        .collect();
    vec![
        status["phase"].clone(),
        json!(text(&spec["volumeName"])),
        json!(text(&status["capacity"]["storage"])),
        json!(modes.join(",")),
        json!(text(&spec["storageClassName"])),
        json!("<unset>"),
        created,
        json!(text(&spec["volumeMode"])),
    ]
}

fn binding(object: &Value, created: Value) -> Vec<Value> {
    let role = format!("{}/{}", text(&object["roleRef"]["kind"]), text(&object["roleRef"]["name"]));
    let subjects = |kind: &str| {
        let named = list(&object["subjects"]).filter(|subject| subject["kind"] == kind).map(|subject| {
            match subject["namespace"].as_str() {
                Some(namespace) => format!("{namespace}/{}", text(&subject["name"])),
                None => text(&subject["name"]),
            }
        });
        named.collect::<Vec<_>>().join(", ")
    };
    vec![
        json!(role),
        created,
        json!(subjects("User")),
        json!(subjects("Group")),
        json!(subjects("ServiceAccount")),
    ]
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn ages_read_as_in_kubectl() {
        for (seconds, shown) in [
            (5, "5s"),
            (119, "119s"),
            (135, "2m15s"),
            (1200, "20m"),
            (14_700, "4h5m"),
            (90_000, "25h"),
            (180_000, "2d2h"),
        ] {
            assert_eq!(human(seconds), shown);
        }
    }
}
