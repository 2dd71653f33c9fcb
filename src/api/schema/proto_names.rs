//! Fields by the names of their protobuf definition (`custom_tags`): settings of the mesh and of proxies may be written so, and pages
//! about them are.

use serde_json::Value;

use crate::camel_case;
use crate::shape::Shape;

/// Gives fields of shape `T` that stand in `value` as `lower_snake_case` the names of its JSON form. Keys of maps, unknown fields and
/// fields that are there in both spellings stay as they are.
pub fn to_json_names<T: Shape>(value: &mut Value) {
    walk(&T::schema(), value);
}

fn walk(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let known = |name: &str| schema["properties"].get(name);
            let written = std::mem::take(fields);
            for (key, mut inner) in written.clone() {
                let json_name = camel_case(&key);
                let name = match known(&key) {
                    None if known(&json_name).is_some() && !written.contains_key(&json_name) => json_name,
                    _ => key,
                };
                if let Some(schema) = known(&name).or_else(|| schema.get("additionalProperties")) {
                    walk(schema, &mut inner);
                }
                fields.insert(name, inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(&schema["items"], item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::istio::MeshConfig;

    #[test]
    fn fields_get_their_json_names_and_keys_of_maps_stay() {
        let mut written = json!({
            "access_log_file": "/dev/stdout",
            "default_config": {
                "proxy_metadata": {"MY_NAME": "a", "other_name": "b"},
                "tracing": {"custom_tags": {"my_tag": {"header": {"name": "host", "default_value": "x"}}}},
            },
            "unknown_field": 1,
        });
        to_json_names::<MeshConfig>(&mut written);
        let expected = json!({
            "accessLogFile": "/dev/stdout",
            "defaultConfig": {
                "proxyMetadata": {"MY_NAME": "a", "other_name": "b"},
                "tracing": {"customTags": {"my_tag": {"header": {"name": "host", "defaultValue": "x"}}}},
            },
            "unknown_field": 1,
        });
        assert_eq!(written, expected);
    }
}
