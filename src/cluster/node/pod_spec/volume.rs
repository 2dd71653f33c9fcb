//! Volumes of a Pod.

use serde::Deserialize;
use serde_json::Value;

use super::container::{FieldReference, ResourceFieldReference};

/// A volume; one of its kinds is set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) empty_dir: Option<EmptyDirVolume>,
    pub(crate) config_map: Option<ConfigMapVolume>,
    pub(crate) secret: Option<SecretVolume>,
    pub(crate) projected: Option<ProjectedVolume>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<DownwardApiVolume>,
    pub(crate) host_path: Option<HostPathVolume>,
    pub(crate) persistent_volume_claim: Option<ClaimVolume>,
    /// Everything that needs a storage driver.
    #[serde(flatten)]
    pub(crate) other: serde_json::Map<String, Value>,
}

impl Volume {
    /// Whether it is an emptyDir by naming no kind at all.
    pub(crate) fn is_empty_dir(&self) -> bool {
        self.empty_dir.is_some()
            || (self.config_map.is_none()
                && self.secret.is_none()
                && self.projected.is_none()
                && self.downward_api.is_none()
                && self.host_path.is_none()
                && self.persistent_volume_claim.is_none()
                && self.other.is_empty())
    }

    /// A message when the volume is of a kind that this node does not have.
    pub(crate) fn unsupported_kind(&self) -> Option<&'static str> {
        let known = self.empty_dir.is_some()
            || self.config_map.is_some()
            || self.secret.is_some()
            || self.projected.is_some()
            || self.downward_api.is_some()
            || self.host_path.is_some()
            || self.persistent_volume_claim.is_some();
        // A volume that names no kind is an emptyDir.
        if known || self.other.is_empty() {
            return None;
        }
        Some(
            "the embedded cluster has emptyDir, configMap, secret, projected, downwardAPI, hostPath and persistentVolumeClaim volumes only",
        )
    }
}

/// `emptyDir`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EmptyDirVolume {
    pub(crate) medium: String,
}

/// `configMap`, also within `projected`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConfigMapVolume {
    pub(crate) name: String,
    pub(crate) items: Vec<KeyToPath>,
    pub(crate) optional: bool,
    pub(crate) default_mode: Option<u32>,
}

/// `secret`; within `projected` the name is `name`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecretVolume {
    #[serde(alias = "name")]
    pub(crate) secret_name: String,
    pub(crate) items: Vec<KeyToPath>,
    pub(crate) optional: bool,
    pub(crate) default_mode: Option<u32>,
}

/// A key and the file it becomes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyToPath {
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) mode: Option<u32>,
}

/// `projected`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProjectedVolume {
    pub(crate) sources: Vec<ProjectedSource>,
    pub(crate) default_mode: Option<u32>,
}

/// One source of a projected volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProjectedSource {
    pub(crate) service_account_token: Option<TokenSource>,
    pub(crate) config_map: Option<ConfigMapVolume>,
    pub(crate) secret: Option<SecretVolume>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<DownwardApiVolume>,
}

/// A token of the pod's service account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenSource {
    pub(crate) audience: String,
    pub(crate) expiration_seconds: u64,
    pub(crate) path: String,
}

impl Default for TokenSource {
    fn default() -> Self {
        Self { audience: String::new(), expiration_seconds: 3600, path: String::new() }
    }
}

/// `downwardAPI`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DownwardApiVolume {
    pub(crate) items: Vec<DownwardItem>,
    pub(crate) default_mode: Option<u32>,
}

/// A field of the pod and the file it becomes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DownwardItem {
    pub(crate) path: String,
    pub(crate) field_ref: Option<FieldReference>,
    pub(crate) resource_field_ref: Option<ResourceFieldReference>,
    pub(crate) mode: Option<u32>,
}

/// `persistentVolumeClaim`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimVolume {
    pub(crate) claim_name: String,
    pub(crate) read_only: bool,
}

/// `hostPath`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HostPathVolume {
    pub(crate) path: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}
