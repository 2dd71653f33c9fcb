//! The last good configuration and certificate, kept beside the process.
//!
//! A proxy that restarts while the control plane is away serves on with what it had. The files live in the pod's
//! own memory-backed volume, readable by the proxy alone, and are replaced as a whole: a crash in between leaves the
//! old ones. A file that cannot be read back is as good as none.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::secrets::Material;
use crate::config::{ConfigStore, Origin, Update, type_url};

/// Everything discovery sent, type by type in the order in which it is applied.
#[derive(Clone, PartialEq, Message)]
struct SavedConfiguration {
    #[prost(message, repeated, tag = "1")]
    types: Vec<SavedType>,
}

#[derive(Clone, PartialEq, Message)]
struct SavedType {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<SavedResource>,
}

#[derive(Clone, PartialEq, Message)]
struct SavedResource {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SavedCertificate {
    #[prost(bytes = "vec", tag = "1")]
    chain: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    roots: Vec<u8>,
}

/// The order in which resources are applied, so that nothing refers to what is not there yet.
pub(crate) const ORDER: [&str; 4] =
    [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE];

/// Where the state is kept.
#[derive(Debug, Clone)]
pub(crate) struct SavedState {
    folder: PathBuf,
}

impl SavedState {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes what discovery sent.
    pub(crate) fn save_configuration(&self, store: &ConfigStore) -> std::io::Result<()> {
        let types = ORDER
            .iter()
            .map(|type_url| SavedType {
                type_url: (*type_url).to_owned(),
                resources: store
                    .resources(type_url)
                    .into_iter()
                    .filter(|raw| raw.origin == Origin::Dynamic)
                    .filter_map(|raw| {
                        Some(SavedResource {
                            name: raw.name,
                            version: raw.version,
                            value: raw.resource?.value,
                        })
                    })
                    .collect(),
            })
            .collect();
        self.replace("last-good-configuration.pb", &SavedConfiguration { types }.encode_to_vec())
    }

    /// What was saved, as the changes that bring it back; empty when there is nothing.
    pub(crate) fn load_configuration(&self) -> Vec<Update> {
        let Some(saved) = self.read::<SavedConfiguration>("last-good-configuration.pb") else {
            return Vec::new();
        };
        saved
            .types
            .into_iter()
            .filter(|saved| !saved.resources.is_empty())
            .map(|saved| Update {
                upserts: saved
                    .resources
                    .into_iter()
                    .map(|resource| {
                        let any = Any { type_url: saved.type_url.clone(), value: resource.value };
                        (resource.name, resource.version, any)
                    })
                    .collect(),
                type_url: saved.type_url,
                removed: Vec::new(),
            })
            .collect()
    }

    /// Writes the certificate and its key.
    pub(crate) fn save_certificate(&self, material: &Material) -> std::io::Result<()> {
        let saved = SavedCertificate {
            chain: material.chain.clone(),
            key: material.key.clone(),
            roots: material.roots.clone(),
        };
        self.replace("last-good-certificate.pb", &saved.encode_to_vec())
    }

    /// The certificate that was saved.
    pub(crate) fn load_certificate(&self) -> Option<Material> {
        let saved = self.read::<SavedCertificate>("last-good-certificate.pb")?;
        Some(Material { chain: saved.chain, key: saved.key, roots: saved.roots })
    }

    fn read<M: Message + Default>(&self, name: &str) -> Option<M> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).ok()?;
        match M::decode(bytes.as_slice()) {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "saved state is damaged; starting without it");
                None
            }
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let temporary = self.folder.join(format!(".{name}.new"));
        write_private(&temporary, bytes)?;
        fs::rename(&temporary, self.folder.join(name))
    }
}

/// Creates a file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A left-over of a crash may have been made by somebody else.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn certificates_come_back_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = SavedState::new(folder.path().join("proxy"));
        assert!(state.load_certificate().is_none());
        let material = Material { chain: b"chain".to_vec(), key: b"key".to_vec(), roots: b"roots".to_vec() };
        state.save_certificate(&material).unwrap();
        state.save_certificate(&material).unwrap();
        assert_eq!(state.load_certificate(), Some(material));
        let file = folder.path().join("proxy/last-good-certificate.pb");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, b"\xff\xff\xff").unwrap();
        assert!(state.load_certificate().is_none());
    }

    #[test]
    fn configuration_comes_back_in_the_order_of_application() {
        let folder = tempfile::tempdir().unwrap();
        let state = SavedState::new(folder.path().to_owned());
        let store = ConfigStore::new();
        let cluster = envoy_types::pb::envoy::config::cluster::v3::Cluster {
            name: "a".to_owned(),
            ..Default::default()
        };
        let update = Update {
            type_url: type_url::CLUSTER.to_owned(),
            upserts: vec![("a".to_owned(), "7".to_owned(), crate::agent::bootstrap::any(&cluster))],
            removed: Vec::new(),
        };
        store.apply(update.clone()).unwrap();
        state.save_configuration(&store).unwrap();
        let loaded = state.load_configuration();
        assert_eq!(loaded.len(), 1);
        assert_eq!((&loaded[0].type_url, &loaded[0].upserts), (&update.type_url, &update.upserts));
    }
}
