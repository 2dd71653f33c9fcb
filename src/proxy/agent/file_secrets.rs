//! Secrets that are files of the container: `file-cert:CHAIN~KEY` and `file-root:FILE`, as TLS settings with paths name them, and
//! `file-root:system`, what the container's system trusts. They are read again while something refers to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::SystemRootCerts;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate,
};

use super::bootstrap::any;
use super::environment::Environment;
use super::secrets::inline;
use crate::config::{ConfigStore, Update, type_url};

const CERTIFICATE: &str = "file-cert:";
const ROOTS: &str = "file-root:";
/// The name for what the system trusts.
const SYSTEM: &str = "system";

/// How often files are looked at: mounted volumes are updated in place.
const PERIOD: Duration = Duration::from_secs(5);

/// Whether a name is one of these secrets'.
pub(crate) fn is_file_secret(name: &str) -> bool {
    name.starts_with(CERTIFICATE) || name.starts_with(ROOTS)
}

/// Provides the secrets that the configuration names.
pub(crate) struct FileSecrets {
    store: Arc<ConfigStore>,
    environment: Environment,
    /// What was handed over, or why it could not be read.
    given: BTreeMap<String, Result<Secret, String>>,
    /// Counts what was handed over.
    version: u64,
}

impl FileSecrets {
    pub(crate) fn new(store: Arc<ConfigStore>, environment: Environment) -> Self {
        Self { store, environment, given: BTreeMap::new(), version: 0 }
    }

    /// Follows configuration and files until the process ends.
    pub(crate) async fn run(mut self) {
        let mut wanted = self.store.wanted_changes();
        loop {
            let names: Vec<String> = wanted
                .borrow_and_update()
                .secrets
                .iter()
                .filter(|name| is_file_secret(name))
                .cloned()
                .collect();
            self.provide(&names);
            let idle = names.is_empty();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PERIOD), if !idle => {}
            }
        }
    }

    /// Hands over what is new, and takes back what nobody names any more.
    fn provide(&mut self, names: &[String]) {
        let mut update =
            Update { type_url: type_url::SECRET.to_owned(), upserts: Vec::new(), removed: Vec::new() };
        update.removed.extend(self.given.keys().filter(|name| !names.contains(name)).cloned());
        self.given.retain(|name, _| names.contains(name));
        for name in names {
            let read = self.read(name);
            if self.given.get(name) == Some(&read) {
                continue;
            }
            match &read {
                Ok(secret) => {
                    self.version += 1;
                    update.upserts.push((name.clone(), self.version.to_string(), any(secret)));
                }
                // The last good one stays.
                Err(error) => tracing::warn!(secret = name, %error, "a file of TLS settings cannot be read"),
            }
            self.given.insert(name.clone(), read);
        }
        if update.upserts.is_empty() && update.removed.is_empty() {
            return;
        }
        if let Err(rejections) = self.store.apply(update) {
            tracing::warn!(?rejections, "files of TLS settings cannot be used");
        }
    }

    fn read(&self, name: &str) -> Result<Secret, String> {
        let bytes = |path: &str| {
            let path = self.environment.path(path);
            std::fs::read(&path)
                .map(|bytes| inline(&bytes))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        let content = if let Some(pair) = name.strip_prefix(CERTIFICATE) {
            let (chain, key) = pair.split_once('~').ok_or("want file-cert:CHAIN~KEY")?;
            Type::TlsCertificate(TlsCertificate {
                certificate_chain: Some(bytes(chain)?),
                private_key: Some(bytes(key)?),
                ..TlsCertificate::default()
            })
        } else {
            let file = name.strip_prefix(ROOTS).unwrap_or_default();
            let mut context = CertificateValidationContext::default();
            if file == SYSTEM {
                context.system_root_certs = Some(SystemRootCerts {});
            } else {
                context.trusted_ca = Some(bytes(file)?);
            }
            Type::ValidationContext(context)
        };
        Ok(Secret { name: name.to_owned(), r#type: Some(content) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_are_named_and_again_when_they_change() {
        let certificate = |name: &str| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
        };
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).expect("a file");
        let (chain, key) = certificate("a.example.com");
        let store = ConfigStore::new();
        let mut secrets = FileSecrets::new(Arc::clone(&store), Environment::given(folder.path(), &[]));
        let names = ["file-cert:/tls.crt~/tls.key".to_owned(), "file-root:/ca.crt".to_owned()];
        secrets.provide(&names);
        assert!(store.resources(type_url::SECRET).is_empty());

        write("tls.crt", &chain);
        write("tls.key", &key);
        write("ca.crt", &chain);
        secrets.provide(&names);
        let held = || -> Vec<(String, String)> {
            store.resources(type_url::SECRET).into_iter().map(|raw| (raw.name, raw.version)).collect()
        };
        let first = held();
        assert_eq!(first.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        secrets.provide(&names);
        assert_eq!(held(), first);

        write("ca.crt", &certificate("b.example.com").0);
        secrets.provide(&names);
        let second = held();
        assert!(second[0] == first[0] && second[1] != first[1]);
        secrets.provide(&names[..1]);
        assert_eq!(held(), first[..1]);
    }
}
