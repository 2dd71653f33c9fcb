//! Labels by which an installation is found again: upgraded, pruned, uninstalled.

use serde_json::{Map, Value, json};

use super::Component;
use crate::profile::Installation;

/// `Reconcile` on everything an installation made.
pub const MANAGED_LABEL: &str = "operator.istio.io/managed";
/// Version of the installing program.
pub const VERSION_LABEL: &str = "operator.istio.io/version";
/// Which component an object belongs to.
pub const COMPONENT_LABEL: &str = "operator.istio.io/component";
/// Name of the IstioOperator behind it.
pub const OWNER_LABEL: &str = "install.operator.istio.io/owning-resource";
/// Namespace of the IstioOperator behind it.
pub const OWNER_NAMESPACE_LABEL: &str = "install.operator.istio.io/owning-resource-namespace";

/// Puts the labels on one object.
pub(super) fn own(object: &mut Value, component: Component, installation: &Installation) {
    add(
        object,
        [
            (MANAGED_LABEL, json!("Reconcile")),
            (VERSION_LABEL, json!(label_value(installation.tag()))),
            (COMPONENT_LABEL, json!(component.label())),
            (OWNER_LABEL, json!(owner(installation))),
            (OWNER_NAMESPACE_LABEL, json!(installation.namespace)),
        ],
    );
    // CRDs and the base serve all revisions; everything else belongs to one.
    if component != Component::Base {
        add(object, [("istio.io/rev", json!(installation.revision_label()))]);
    }
}

/// Value of [`OWNER_LABEL`].
#[must_use]
pub fn owner(installation: &Installation) -> String {
    label_value(&installation.owner())
}

/// Adds labels that the object does not set itself.
pub(super) fn add<const N: usize>(object: &mut Value, labels: [(&str, Value); N]) {
    let slot = &mut object["metadata"]["labels"];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Some(map) = slot.as_object_mut() {
        for (key, value) in labels {
            map.entry(key).or_insert(value);
        }
    }
}

/// A tag or a name may hold characters that a label may not.
fn label_value(tag: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let mut value: String =
        tag.chars().map(|character| if allowed(character) { character } else { '_' }).collect();
    value.truncate(63);
    let edge = |character: char| !character.is_ascii_alphanumeric();
    let value = value.trim_matches(edge);
    if value.is_empty() { "unknown".to_owned() } else { value.to_owned() }
}
