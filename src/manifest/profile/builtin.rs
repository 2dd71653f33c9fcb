//! The profiles in the program.

use serde_json::Value;

use super::ProfileError;
use super::overlay::merge;

const PROFILES: [(&str, &str); 8] = [
    ("default", include_str!("../../../profiles/default.yaml")),
    ("demo", include_str!("../../../profiles/demo.yaml")),
    ("empty", include_str!("../../../profiles/empty.yaml")),
    ("minimal", include_str!("../../../profiles/minimal.yaml")),
    ("openshift", include_str!("../../../profiles/openshift.yaml")),
    ("preview", include_str!("../../../profiles/preview.yaml")),
    ("remote", include_str!("../../../profiles/remote.yaml")),
    ("stable", include_str!("../../../profiles/stable.yaml")),
];

const AMBIENT: &str = "ambient mode (ztunnel and the CNI node agent) is not part of this version; use demo or default, which run sidecars";

/// Istio's profiles that are refused, with the reason.
pub const UNSUPPORTED_PROFILES: [(&str, &str); 2] = [("ambient", AMBIENT), ("openshift-ambient", AMBIENT)];

/// Names of the profiles, sorted.
#[must_use]
pub fn names() -> Vec<&'static str> {
    PROFILES.iter().map(|(name, _)| *name).collect()
}

/// The `spec` of a profile, merged over `default`.
///
/// # Errors
/// When there is no such profile, or it is one this version refuses.
pub fn profile(name: &str) -> Result<Value, ProfileError> {
    if let Some((_, reason)) = UNSUPPORTED_PROFILES.iter().find(|(known, _)| *known == name) {
        return Err(ProfileError::UnsupportedProfile { name: name.to_owned(), reason });
    }
    let mut spec = own_spec("default")?;
    if name != "default" {
        merge(&mut spec, own_spec(name)?);
    }
    Ok(spec)
}

fn own_spec(name: &str) -> Result<Value, ProfileError> {
    let unknown = || ProfileError::UnknownProfile { name: name.to_owned() };
    let (_, text) = PROFILES.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
    let yaml = |source| ProfileError::Yaml { file: format!("profiles/{name}.yaml"), source };
    let mut document: Value = serde_yaml::from_str(text).map_err(yaml)?;
    Ok(document["spec"].take())
}
