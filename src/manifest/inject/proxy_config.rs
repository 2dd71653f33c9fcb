//! The ProxyConfig of one pod: mesh `defaultConfig` with the annotation `proxy.istio.io/config` merged over it.

use sagene_api::istio::mesh_config::ProxyConfig;
use sagene_api::schema::proto_names::to_json_names;
use serde_json::{Value, json};

use super::InjectError;

const ANNOTATION: &str = "proxy.istio.io/config";

/// Merges by field, maps by key (`proxyMetadata`), everything else replaced.
pub(super) fn merged(mesh: &Value, overlay: Option<&str>) -> Result<Value, InjectError> {
    let mut config =
        mesh.get("defaultConfig").filter(|config| config.is_object()).cloned().unwrap_or_else(|| json!({}));
    if let Some(text) = overlay {
        let mut parsed: Value = sagene_api::yaml::value(text).map_err(|error| bad(error.to_string()))?;
        to_json_names::<ProxyConfig>(&mut parsed);
        match parsed {
            Value::Null => {}
            Value::Object(_) => overlay_fields(&mut config, parsed),
            _ => return Err(bad("expected a ProxyConfig in YAML".to_owned())),
        }
    }
    Ok(config)
}

fn bad(reason: String) -> InjectError {
    InjectError::Annotation { key: ANNOTATION.to_owned(), reason }
}

fn overlay_fields(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                overlay_fields(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (slot, value) => *slot = value,
    }
}
