//! `persistentVolumeClaim` volumes: the folder behind the volume that a claim is bound to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::{VolumeError, host_path};
use crate::api_client::resource::namespace_of;
use crate::api_client::{ApiClient, ResourceRef};
use crate::controllers::storage::PROVISIONER;
use crate::node::pod_spec::{ClaimVolume, HostPathVolume};

/// The folder; made on demand where the cluster provisioned the volume.
pub(super) async fn find(api: &ApiClient, pod: &Value, claim: &ClaimVolume) -> Result<PathBuf, VolumeError> {
    let missing = |kind, name: &str| VolumeError::ObjectMissing { kind, name: name.to_owned() };
    let kind = ResourceRef::PERSISTENT_VOLUME_CLAIMS;
    let found = api.get(&kind, namespace_of(pod), &claim.claim_name).await;
    let found = found.map_err(|_| missing("persistentvolumeclaim", &claim.claim_name))?;
    let name = found["spec"]["volumeName"].as_str().unwrap_or_default();
    if found["status"]["phase"] != "Bound" {
        return Err(VolumeError::Unbound(claim.claim_name.clone()));
    }
    let volume = api.get(&ResourceRef::PERSISTENT_VOLUMES, "", name).await;
    let volume = volume.map_err(|_| missing("persistentvolume", name))?;
    let path =
        volume["spec"]["hostPath"]["path"].as_str().or_else(|| volume["spec"]["local"]["path"].as_str());
    let path = path.ok_or_else(|| VolumeError::VolumeKind(name.to_owned()))?;
    let kind = volume["spec"]["hostPath"]["type"].as_str().unwrap_or("DirectoryOrCreate").to_owned();
    let fresh = !PathBuf::from(path).exists();
    host_path::check(name, &HostPathVolume { path: path.to_owned(), kind })?;
    let path = PathBuf::from(path);
    if fresh && volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == PROVISIONER {
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&path, open).map_err(VolumeError::file("open up", &path))?;
    }
    Ok(path)
}
