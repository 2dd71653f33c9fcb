//! `k8s.overlays`: patches of single fields of rendered objects, by kind, name and path. A patch without a value deletes.

use serde_json::Value;

use crate::profile::{PathError, assign};
use crate::render::RenderError;

/// Applies every patch of every overlay.
pub(super) fn apply(objects: &mut [Value], component: &str, overlays: &Value) -> Result<(), RenderError> {
    let refuse = |reason: String| RenderError::Component { component: component.to_owned(), reason };
    for overlay in overlays.as_array().into_iter().flatten() {
        let text = |key: &str| overlay.get(key).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let Some(object) = super::find(objects, kind, name) else {
            return Err(refuse(format!("k8s.overlays: the component has no {kind} {name:?}")));
        };
        for patch in overlay.get("patches").and_then(Value::as_array).into_iter().flatten() {
            let path = patch.get("path").and_then(Value::as_str).unwrap_or_default();
            let applied = patched(object, path, patch.get("value").filter(|value| !value.is_null()));
            applied.map_err(|error| refuse(format!("k8s.overlays of {kind} {name:?}: {path}: {error}")))?;
        }
    }
    Ok(())
}

fn patched(object: &mut Value, path: &str, value: Option<&Value>) -> Result<(), PathError> {
    assign(object, path, value.cloned())
}
