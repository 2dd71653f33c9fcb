//! JSON patch, JSON merge patch and strategic merge patch.

mod strategic;

use serde_json::Value;

use super::error::ApiError;
use super::operations::{PatchBody, Target};
use crate::api_client::PatchKind;

/// Most operations of a JSON patch, as in Kubernetes.
const OPERATION_LIMIT: usize = 10_000;

/// The object with the patch applied.
pub(crate) fn patched(target: &Target, current: &Value, body: &PatchBody) -> Result<Value, ApiError> {
    let mut object = current.clone();
    match body.kind {
        PatchKind::Merge => json_patch::merge(&mut object, &body.patch),
        PatchKind::Json => object = json_patched(object, &body.patch)?,
        PatchKind::StrategicMerge if target.definition.custom => {
            return Err(ApiError::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        PatchKind::StrategicMerge => {
            let schema = &target.version_definition().schema;
            strategic::merge(schema, &mut object, &body.patch).map_err(ApiError::bad_request)?;
        }
    }
    Ok(object)
}

/// Applies RFC 6902 operations.
pub(crate) fn json_patched(mut object: Value, patch: &Value) -> Result<Value, ApiError> {
    if patch.as_array().is_some_and(|operations| operations.len() > OPERATION_LIMIT) {
        return Err(ApiError::new(
            413,
            "RequestEntityTooLarge",
            format!("The allowed maximum operations in a JSON patch is {OPERATION_LIMIT}"),
        ));
    }
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    json_patch::patch(&mut object, &operations).map_err(|error| {
        ApiError::new(
            422,
            "Invalid",
            format!("the server rejected our request due to an error in our request: {error}"),
        )
    })?;
    Ok(object)
}

/// RFC 7386.
pub(crate) fn merged(mut object: Value, patch: &Value) -> Value {
    json_patch::merge(&mut object, patch);
    object
}
