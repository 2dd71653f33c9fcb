//! Parameters of a Gateway: parts of objects in a ConfigMap, laid over what is made for it. The defaults of its class come first (a ConfigMap of
//! the root namespace with a label), then those that `infrastructure.parametersRef` names.

use std::collections::BTreeMap;

use sagene_api::{Object, gateway_api::KubernetesGateway, yaml};
use sagene_manifest::inject::strategic_merge;
use sagene_model::Snapshot;
use serde_json::Value;

use super::Name;
use super::config_maps::{ConfigMaps, Content};
use crate::options::ControlPlaneOptions;

/// Label of a ConfigMap with defaults of a GatewayClass.
const DEFAULTS_LABEL: &str = "gateway.istio.io/defaults-for-class";
/// Keys of the ConfigMap, and the kinds they are laid over.
const KEYS: [(&str, &str); 5] = [
    ("serviceAccount", "ServiceAccount"),
    ("deployment", "Deployment"),
    ("service", "Service"),
    ("horizontalPodAutoscaler", "HorizontalPodAutoscaler"),
    ("podDisruptionBudget", "PodDisruptionBudget"),
];

/// Why parameters cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParametersError {
    #[error(
        "infrastructure.parametersRef: {kind} in group {group:?} is not supported; name a ConfigMap (group \"\")"
    )]
    Kind { group: String, kind: String },
    #[error("infrastructure.parametersRef: ConfigMap {namespace}/{name} not found")]
    Missing { namespace: String, name: String },
    #[error("ConfigMap {map}: there is no key {key:?}; known are {}", KEYS.map(|(key, _)| key).join(", "))]
    Key { map: String, key: String },
    #[error("ConfigMap {map}, key {key}: {reason}")]
    Content { map: String, key: String, reason: String },
}

/// Parts of objects, by kind.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parameters(BTreeMap<&'static str, Value>);

impl Parameters {
    fn parse(map: &str, data: &BTreeMap<String, String>) -> Result<Self, ParametersError> {
        let mut parts = BTreeMap::new();
        for (key, text) in data {
            let known = KEYS.iter().find(|(known, _)| known == key);
            let (_, kind) =
                known.ok_or_else(|| ParametersError::Key { map: map.to_owned(), key: key.clone() })?;
            let wrong = |reason| ParametersError::Content { map: map.to_owned(), key: key.clone(), reason };
            let part = yaml::value(text).map_err(|error| wrong(error.to_string()))?;
            if !part.is_object() {
                return Err(wrong(format!("want a part of a {kind}, such as spec")));
            }
            parts.insert(*kind, part);
        }
        Ok(Self(parts))
    }

    /// Whether they have a part for this kind.
    pub(super) fn speak_of(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }

    /// Merges their part for this object's kind into it. What it is called and whom it belongs to stays.
    pub(super) fn lay_over(&self, object: &mut Value) {
        let Some(part) = object["kind"].as_str().and_then(|kind| self.0.get(kind)) else { return };
        let before = object.clone();
        strategic_merge(object, part);
        for key in ["apiVersion", "kind"] {
            object[key] = before[key].clone();
        }
        if !object["metadata"].is_object() {
            object["metadata"] = before["metadata"].clone();
        }
        for key in ["name", "namespace", "ownerReferences"] {
            object["metadata"][key] = before["metadata"][key].clone();
        }
    }
}

/// The ConfigMap that a Gateway names.
pub(super) fn config_map_of(gateway: &Object<KubernetesGateway>) -> Option<Name> {
    let reference = gateway.spec.infrastructure.as_ref()?.parameters_ref.as_ref()?;
    let is_map = reference.group.is_empty() && reference.kind == "ConfigMap";
    is_map.then(|| (gateway.metadata.namespace.clone(), reference.name.clone()))
}

/// Everything that is laid over the objects of a Gateway, in order; `None` where it is not read yet.
pub(super) fn of(
    gateway: &Object<KubernetesGateway>,
    snapshot: &Snapshot,
    options: &ControlPlaneOptions,
    maps: &ConfigMaps,
) -> Result<Option<Vec<Parameters>>, ParametersError> {
    let mut all = Vec::new();
    let class = &gateway.spec.gateway_class_name;
    for map in snapshot.config_maps.in_namespace(&options.namespace) {
        if map.metadata.labels.get(DEFAULTS_LABEL) == Some(class) {
            let name = format!("{}/{}", map.metadata.namespace, map.metadata.name);
            let data = map.spec.data.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
            all.push(Parameters::parse(&name, &data)?);
        }
    }
    let reference = gateway.spec.infrastructure.as_ref().and_then(|one| one.parameters_ref.as_ref());
    let Some(reference) = reference else { return Ok(Some(all)) };
    let Some((namespace, name)) = config_map_of(gateway) else {
        return Err(ParametersError::Kind { group: reference.group.clone(), kind: reference.kind.clone() });
    };
    match maps.content(&(namespace.clone(), name.clone())) {
        Content::Unknown => Ok(None),
        Content::Missing => Err(ParametersError::Missing { namespace, name }),
        Content::Data(data) => {
            all.push(Parameters::parse(&format!("{namespace}/{name}"), &data)?);
            Ok(Some(all))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(key: &str, text: &str) -> Result<Parameters, ParametersError> {
        Parameters::parse("shop/options", &[(key.to_owned(), text.to_owned())].into())
    }

    #[test]
    fn a_part_is_laid_over_its_kind_and_leaves_names_alone() {
        let text = "metadata: {name: other, annotations: {a: b}}\n\
                    spec: {replicas: 4, template: {spec: {containers: [{name: istio-proxy, env: []}]}}}";
        let parameters = parse("deployment", text).unwrap();
        let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "shop", "ownerReferences": []},
            "spec": {"template": {"spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}}}});
        parameters.lay_over(&mut deployment);
        assert_eq!(deployment["metadata"]["name"], "x");
        assert_eq!(deployment["metadata"]["annotations"]["a"], "b");
        assert_eq!(deployment["spec"]["replicas"], 4);
        assert_eq!(deployment.pointer("/spec/template/spec/containers/0/image"), Some(&json!("auto")));
        let mut service = json!({"kind": "Service", "metadata": {"name": "x"}});
        parameters.lay_over(&mut service);
        assert_eq!(service, json!({"kind": "Service", "metadata": {"name": "x"}}));
        assert!(parameters.speak_of("Deployment") && !parameters.speak_of("PodDisruptionBudget"));
    }

    #[test]
    fn what_cannot_be_used_names_map_and_key() {
        let said = |key, text| parse(key, text).unwrap_err().to_string();
        assert!(
            said("hpa", "spec: {}").starts_with("ConfigMap shop/options: there is no key \"hpa\"; known are")
        );
        assert!(said("service", "a: [").starts_with("ConfigMap shop/options, key service: "));
        assert_eq!(
            said("service", "LoadBalancer"),
            "ConfigMap shop/options, key service: want a part of a Service, such as spec"
        );
    }
}
