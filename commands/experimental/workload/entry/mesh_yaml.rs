//! `mesh.yaml`: the ProxyConfig of the workload's proxy. The mesh's, over it the annotations of the group, over it what the group says.

use sagene_api::Object;
use sagene_api::istio::mesh_config::ProxyConfig;
use sagene_api::istio::mesh_config::merge::merge_deep;
use sagene_api::istio::networking::WorkloadGroup;
use sagene_api::schema::proto_names::to_json_names;
use sagene_model::workload::{CANONICAL_NAME_LABEL, CANONICAL_REVISION_LABEL, canonical};
use serde_json::{Map, Value, json};

use super::Installation;
use super::source::service_account;
use crate::exit::Failure;
use crate::output;

const ANNOTATION: &str = "proxy.istio.io/config";

/// What the command line says.
pub(super) struct Wishes {
    pub(super) cluster: String,
    pub(super) capture_dns: bool,
    pub(super) autoregister: bool,
}

/// `defaultConfig` of the file; `mesh` is the text of the mesh configuration.
pub(super) fn proxy_config(
    mesh: &str,
    group: &Object<WorkloadGroup>,
    installation: &Installation,
    wishes: &Wishes,
) -> Result<Value, Failure> {
    let mesh = sagene_api::yaml::value(mesh)
        .map_err(|error| Failure::from(error).context("ConfigMap istio, key mesh"))?;
    let mut config =
        mesh.get("defaultConfig").filter(|it| it.is_object()).cloned().unwrap_or_else(|| json!({}));
    to_json_names::<ProxyConfig>(&mut config);
    if config.get("discoveryAddress").is_none() {
        config["discoveryAddress"] = json!(format!("{}:15012", installation.host()));
    }
    let of_members = group.spec.metadata.as_ref().and_then(|it| it.annotations.get(ANNOTATION));
    for text in [group.metadata.annotations.get(ANNOTATION), of_members].into_iter().flatten() {
        merge_deep(&mut config, annotation(text)?);
    }
    if let Some(probe) = &group.spec.probe {
        config["readinessProbe"] = serde_json::to_value(probe)?;
    }
    let trust_domain = mesh.get("trustDomain").and_then(Value::as_str).unwrap_or("cluster.local");
    let mesh_id = config.get("meshId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let said = metadata(group, trust_domain, &mesh_id, wishes)?;
    merge_deep(&mut config, json!({"proxyMetadata": said}));
    Ok(config)
}

fn annotation(text: &str) -> Result<Value, Failure> {
    let bad =
        |reason: String| Failure::new(format!("annotation {ANNOTATION} of the WorkloadGroup: {reason}"));
    let mut value = sagene_api::yaml::value(text).map_err(|error| bad(error.to_string()))?;
    if !matches!(value, Value::Object(_) | Value::Null) {
        return Err(bad("expected a ProxyConfig in YAML".to_owned()));
    }
    to_json_names::<ProxyConfig>(&mut value);
    Ok(value)
}

/// `proxyMetadata`: what the downward API and the injector tell a pod's proxy.
fn metadata(
    group: &Object<WorkloadGroup>,
    trust_domain: &str,
    mesh_id: &str,
    wishes: &Wishes,
) -> Result<Map<String, Value>, Failure> {
    let (name, template) = (&group.metadata.name, &group.spec.template);
    let mut labels = group.spec.metadata.as_ref().map(|it| it.labels.clone()).unwrap_or_default();
    if !template.labels.is_empty() {
        output::progress(&format!(
            "Labels should be set in the metadata. The following WorkloadEntry labels will override metadata labels: {}",
            template
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(",")
        ));
        labels.extend(template.labels.clone());
    }
    let (service, revision) = canonical(&labels, name);
    let mut metadata = Map::new();
    let mut say = |name: &str, value: &str| metadata.insert(name.to_owned(), json!(value));
    say("CANONICAL_SERVICE", &service);
    say("CANONICAL_REVISION", &revision);
    say("POD_NAMESPACE", &group.metadata.namespace);
    say("SERVICE_ACCOUNT", service_account(group));
    say("TRUST_DOMAIN", trust_domain);
    say("ISTIO_META_CLUSTER_ID", &wishes.cluster);
    say("ISTIO_META_MESH_ID", mesh_id);
    say("ISTIO_META_NETWORK", &template.network);
    say("ISTIO_META_WORKLOAD_NAME", name);
    if !template.ports.is_empty() {
        let port = |(name, port): (&String, &u32)| json!({"name": name, "containerPort": port});
        let ports: Vec<Value> = template.ports.iter().map(port).collect();
        say("ISTIO_META_POD_PORTS", &serde_json::to_string(&ports)?);
    }
    labels.insert(CANONICAL_NAME_LABEL.to_owned(), service);
    labels.insert(CANONICAL_REVISION_LABEL.to_owned(), revision);
    say("ISTIO_METAJSON_LABELS", &serde_json::to_string(&labels)?);
    if wishes.capture_dns {
        say("ISTIO_META_DNS_CAPTURE", "true");
    }
    if wishes.autoregister {
        say("ISTIO_META_AUTO_REGISTER_GROUP", name);
    }
    Ok(metadata)
}
