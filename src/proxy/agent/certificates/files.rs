//! Certificates that the platform mounts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;

use super::{CertificateError, FILE_PERIOD, Source};
use crate::agent::environment::Environment;
use crate::agent::secrets::Material;

/// Where the platform mounts them.
const FOLDER: &str = "/var/run/secrets/workload-spiffe-credentials";

/// The three files.
#[derive(Debug, Clone)]
pub(crate) struct MountedFiles {
    folder: PathBuf,
}

impl MountedFiles {
    /// The mounted certificate, if the platform mounted one.
    pub(crate) fn find(environment: &Environment) -> Option<Self> {
        let folder = environment.path(FOLDER);
        ["cert-chain.pem", "key.pem", "root-cert.pem"]
            .iter()
            .all(|name| folder.join(name).exists())
            .then_some(Self { folder })
    }
}

impl Source for MountedFiles {
    fn obtain(&self) -> BoxFuture<'_, Result<Material, CertificateError>> {
        Box::pin(async {
            Ok(Material {
                chain: read(&self.folder.join("cert-chain.pem"))?,
                key: read(&self.folder.join("key.pem"))?,
                roots: read(&self.folder.join("root-cert.pem"))?,
            })
        })
    }

    fn period(&self) -> Option<Duration> {
        Some(FILE_PERIOD)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::File { path: path.display().to_string(), source })
}
