//! Why a volume is not there yet.

use std::io;
use std::path::{Path, PathBuf};

/// A volume that could not be set up; the node tries again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// An object is missing.
    #[error("{kind} \"{name}\" not found")]
    ObjectMissing { kind: &'static str, name: String },
    /// A claim has no volume yet.
    #[error("persistentvolumeclaim \"{0}\" is not bound to a volume yet")]
    Unbound(String),
    /// A volume is of a kind that needs a storage driver.
    #[error(
        "persistentvolume \"{0}\" is neither a hostPath nor a local volume; the embedded cluster has no others"
    )]
    VolumeKind(String),
    /// An object lacks a key.
    #[error("{kind} \"{name}\" has no key {key:?}")]
    KeyMissing { kind: &'static str, name: String, key: String },
    /// A path leads out of the volume.
    #[error("the path {0:?} must be relative and must not contain \"..\"")]
    BadPath(String),
    /// The downward API has no such field.
    #[error("there is no field {0:?}")]
    UnknownField(String),
    /// The API server gives no token.
    #[error("no token for the service account: {0}")]
    Token(String),
    /// A hostPath is not what it should be.
    #[error("hostPath type check failed: {path} is not a {wanted}")]
    HostPath { path: PathBuf, wanted: &'static str },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// One of the above, with the volume's name, as Kubernetes' events have it.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
    Volume { volume: String, reason: String },
}

impl VolumeError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(super) fn in_volume(self, volume: &str) -> Self {
        let source = std::error::Error::source(&self).map(|source| format!(": {source}")).unwrap_or_default();
        Self::Volume { volume: volume.to_owned(), reason: format!("{self}{source}") }
    }
}
