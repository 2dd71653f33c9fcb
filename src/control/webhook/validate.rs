//! What the validation webhook refuses: Istio objects that do not have the shape of their kind, fields it does not have, and
//! annotations that are reserved.

use sagene_store::Store;
use sagene_store::memory::Memory;
use serde_json::Value;

use crate::generate::envoy_filter::problems;

/// Annotations only the control plane itself may set.
const INTERNAL: &str = "internal.istio.io/";

/// Checks the object of an admission request; the message names the field.
pub(super) fn check(request: &Value) -> Result<(), String> {
    if request.get("operation").and_then(Value::as_str) == Some("DELETE") {
        return Ok(());
    }
    let Some(object) = request.get("object").filter(|object| object.is_object()) else {
        return Err("the admission request carries no object".to_owned());
    };
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    if let Some(key) =
        annotations.into_iter().flat_map(|map| map.keys()).find(|key| key.starts_with(INTERNAL))
    {
        return Err(format!("metadata.annotations: {key} is reserved for the control plane"));
    }
    let store = Store::new();
    let mut memory = Memory::new(&store);
    if memory.apply(object.clone()).is_err() {
        // A kind that is served but not read here has its CRD's schema as its only rule.
        return Ok(());
    }
    if let Some(rejected) = store.rejected().first() {
        return Err(rejected.message.clone());
    }
    memory.publish();
    match store.snapshot().envoy_filters.iter().flat_map(|filter| problems(&filter.spec)).next() {
        // What Envoy has and is not patched here is told of elsewhere; a value that fits nothing is a mistake.
        Some(problem) if problem.field.ends_with(".patch.value") => Err(problem.to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;

    #[test]
    fn names_the_field_that_is_wrong() {
        let request = |metadata: serde_json::Value, spec: serde_json::Value| {
            json!({"operation": "CREATE", "object": {
                "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec,
            }})
        };
        assert_eq!(check(&request(json!({"name": "a"}), json!({"hosts": ["a"]}))), Ok(()));
        let wrong = check(&request(json!({"name": "a"}), json!({"hosts": 1}))).unwrap_err();
        assert!(wrong.contains("spec.hosts"), "{wrong}");
        let internal = json!({"name": "a", "annotations": {"internal.istio.io/parents": "x"}});
        assert!(check(&request(internal, json!({}))).unwrap_err().contains("internal.istio.io/parents"));
    }

    #[test]
    fn a_patch_whose_value_fits_nothing_is_refused() {
        let request = |value: serde_json::Value| {
            json!({"operation": "CREATE", "object": {
                "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "a", "namespace": "b"},
                "spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": value}}]},
            }})
        };
        assert_eq!(check(&request(json!({"connect_timeout": "1s"}))), Ok(()));
        let wrong = check(&request(json!({"conect_timeout": "1s"}))).unwrap_err();
        assert!(wrong.starts_with("spec.configPatches[0].patch.value: conect_timeout: "), "{wrong}");
    }
}
