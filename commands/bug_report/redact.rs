//! What does not belong into somebody else's hands, and what is only noise.

use serde_json::{Value, json};

/// Where `kubectl apply` keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Takes the values out of a Secret, wherever they stand; their sizes stay, which tells an empty one from a full one.
pub(super) fn secret(object: &mut Value) {
    for field in ["data", "stringData"] {
        for value in
            object.get_mut(field).and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut())
        {
            let size = value.as_str().map_or(0, str::len);
            *value = json!(format!("<redacted: {size} characters>"));
        }
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        && annotations.contains_key(LAST_APPLIED)
    {
        annotations.insert(LAST_APPLIED.to_owned(), json!("<redacted>"));
    }
}

/// Takes out what is long and says nothing: who wrote which field, and the schemas of CRDs.
pub(super) fn noise(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if object["kind"] == "CustomResourceDefinition" {
        let versions = object.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
        versions.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|version| {
            version.remove("schema");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_secret_stays() {
        let mut object = json!({
            "metadata": {"name": "a", "annotations": {LAST_APPLIED: "{\"data\":{\"key\":\"aGlkZGVu\"}}", "b": "c"}},
            "data": {"key": "aGlkZGVu"}, "stringData": {"other": "hidden"},
        });
        secret(&mut object);
        let text = object.to_string();
        assert!(!text.contains("aGlkZGVu") && !text.contains("hidden"), "{text}");
        assert!(
            text.contains("\"key\"") && text.contains("8 characters") && text.contains("\"b\":\"c\""),
            "{text}"
        );
    }
}
