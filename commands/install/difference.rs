//! What applying an object would change, as a unified diff of its YAML: the server's own answer to a dry run beside what it has.

use serde_json::Value;

use crate::exit::Failure;
use crate::kubernetes::text;
use crate::unified_diff;

/// The name of what does not exist, as patches have it.
const NOTHING: &str = "/dev/null";

/// The diff, or `None` when nothing would change. `before` is `None` for an object that does not exist.
pub(super) fn between(before: Option<&Value>, after: &Value) -> Result<Option<String>, Failure> {
    let (old, new) = (before.map(yaml).transpose()?.unwrap_or_default(), yaml(after)?);
    if old == new {
        return Ok(None);
    }
    let name = title(after);
    let from = if before.is_some() { name.as_str() } else { NOTHING };
    Ok(Some(unified_diff::between((from, &old), (&name, &new), unified_diff::CONTEXT)))
}

/// The diff of an object that would be removed.
pub(super) fn removal(object: &Value) -> Result<String, Failure> {
    let old = yaml(object)?;
    Ok(unified_diff::between((&title(object), &old), (NOTHING, ""), unified_diff::CONTEXT))
}

fn title(object: &Value) -> String {
    let namespace = text(object, "/metadata/namespace");
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    format!("{} {place}{}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// Without what the server keeps for itself and what changes by the mere asking.
fn yaml(object: &Value) -> Result<String, Failure> {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"]
        {
            metadata.remove(key);
        }
    }
    Ok(sagene_api::yaml::to_text(&object)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_a_person_would_change_is_a_difference() {
        let object = |generation: u64, replicas: u64| {
            json!({"kind": "Deployment", "metadata": {"name": "istiod", "namespace": "istio-system", "generation": generation},
                "spec": {"replicas": replicas}, "status": {"replicas": replicas}})
        };
        assert_eq!(between(Some(&object(1, 1)), &object(2, 1)).expect("diff"), None);
        let diff = between(Some(&object(1, 1)), &object(1, 2)).expect("diff").expect("different");
        assert!(
            diff.contains("--- Deployment istio-system/istiod")
                && diff.contains("-  replicas: 1\n+  replicas: 2"),
            "{diff}"
        );
        let new = between(None, &object(1, 1)).expect("diff").expect("new");
        assert!(new.contains("--- /dev/null"), "{new}");
    }
}
