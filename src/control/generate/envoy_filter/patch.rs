//! One patch, its value read as the message it stands for.

use sagene_api::Object;
use sagene_api::envoy::json::from_json;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, FilterClass, PatchOperation,
};
use thiserror::Error;
use tracing::warn;

/// Longest regular expression for versions of proxies, as istiod has it.
const LONGEST_VERSION: usize = 1024;

/// A patch ready to be applied.
#[derive(Debug)]
pub(super) struct Patch {
    /// `namespace/name`, for messages.
    pub(super) source: String,
    pub(super) apply_to: ApplyTo,
    pub(super) operation: PatchOperation,
    pub(super) condition: EnvoyConfigObjectMatch,
    pub(super) class: FilterClass,
    /// The message, encoded; empty where the operation needs none.
    pub(super) value: Vec<u8>,
}

/// Why a patch has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct PatchProblem {
    /// The field, such as `spec.configPatches[0].patch.value`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The patches that can be read; the others are told of in the log.
pub(super) fn read(object: &Object<EnvoyFilter>) -> Vec<Patch> {
    let source = format!("{}/{}", object.metadata.namespace, object.metadata.name);
    let (patches, problems) = read_all(&object.spec, &source);
    for problem in problems {
        warn!(envoy_filter = source, %problem, "patch left out");
    }
    patches
}

/// What is wrong with the patches of an EnvoyFilter.
pub fn problems(filter: &EnvoyFilter) -> Vec<PatchProblem> {
    read_all(filter, "").1
}

fn read_all(filter: &EnvoyFilter, source: &str) -> (Vec<Patch>, Vec<PatchProblem>) {
    let (mut patches, mut problems) = (Vec::new(), Vec::new());
    for (index, declared) in filter.config_patches.iter().enumerate() {
        match read_one(declared, source) {
            Ok(patch) => patches.push(patch),
            Err((field, reason)) => {
                let field = format!("spec.configPatches[{index}].{field}");
                problems.push(PatchProblem { field, reason });
            }
        }
    }
    (patches, problems)
}

fn read_one(declared: &EnvoyConfigObjectPatch, source: &str) -> Result<Patch, (&'static str, String)> {
    let name = declared
        .apply_to
        .message()
        .ok_or_else(|| ("applyTo", format!("{} is not patched yet", declared.apply_to)))?;
    let patch = declared.patch.as_ref().ok_or_else(|| ("patch", "is missing".to_owned()))?;
    if patch.operation == PatchOperation::Invalid {
        return Err(("patch.operation", "is missing".to_owned()));
    }
    let version = declared.r#match.as_ref().and_then(|condition| condition.proxy.as_ref());
    if let Some(version) = version.filter(|version| regex::Regex::new(&version.proxy_version).is_err()) {
        let reason = format!("{:?} is not a regular expression", version.proxy_version);
        return Err(("match.proxy.proxyVersion", reason));
    }
    if version.is_some_and(|version| version.proxy_version.len() > LONGEST_VERSION) {
        let reason = format!("an expression of more than {LONGEST_VERSION} characters");
        return Err(("match.proxy.proxyVersion", reason));
    }
    let value = match &patch.value {
        Some(value) => from_json(name, value).map_err(|error| ("patch.value", error.to_string()))?,
        None if patch.operation == PatchOperation::Remove => Vec::new(),
        None => return Err(("patch.value", "is missing".to_owned())),
    };
    Ok(Patch {
        source: source.to_owned(),
        apply_to: declared.apply_to,
        operation: patch.operation,
        condition: declared.r#match.clone().unwrap_or_default(),
        class: patch.filter_class,
        value,
    })
}
