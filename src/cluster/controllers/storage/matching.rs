//! Which volume satisfies a claim.

use std::sync::Arc;

use serde_json::Value;

use super::super::context::text;
use crate::apiserver::selector::LabelSelector;
use crate::node::quantity;

/// Whether the volume is this claim's already, or may become it because it names nobody or the claim by name.
pub(super) fn belongs(volume: &Value, claim: &Value) -> bool {
    let reference = &volume["spec"]["claimRef"];
    if !reference.is_object() {
        return true;
    }
    let uid = text(reference, "/uid");
    let same_name = reference["name"] == claim["metadata"]["name"]
        && reference["namespace"] == claim["metadata"]["namespace"];
    same_name && (uid.is_empty() || claim["metadata"]["uid"] == uid)
}

/// The smallest volume that is free and enough.
pub(super) fn best<'a>(volumes: &'a [Arc<Value>], claim: &Value) -> Option<&'a Arc<Value>> {
    let size = |value: &Value| quantity::parse_value(value).unwrap_or(0.0);
    let wanted = size(&claim["spec"]["resources"]["requests"]["storage"]);
    let capacity = |volume: &Value| size(&volume["spec"]["capacity"]["storage"]);
    let enough = volumes.iter().filter(|volume| {
        !volume["metadata"]["deletionTimestamp"].is_string()
            && belongs(volume, claim)
            && text(volume, "/spec/storageClassName") == text(claim, "/spec/storageClassName")
            && capacity(volume) >= wanted
            && has_modes(volume, claim)
            && LabelSelector::from_object(&claim["spec"]["selector"]).matches(&volume["metadata"]["labels"])
    });
    // One that was reserved for the claim goes before any other.
    enough.min_by(|one, other| {
        let reserved = |volume: &Value| !volume["spec"]["claimRef"].is_object();
        reserved(one).cmp(&reserved(other)).then(capacity(one).total_cmp(&capacity(other)))
    })
}

fn has_modes(volume: &Value, claim: &Value) -> bool {
    let offered = volume["spec"]["accessModes"].as_array();
    let wanted = claim["spec"]["accessModes"].as_array();
    wanted.into_iter().flatten().all(|mode| offered.into_iter().flatten().any(|known| known == mode))
}
