//! Certificates as the secrets that TLS contexts name: `default` and `ROOTCA`.

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate,
};

use super::bootstrap::any;
use crate::config::{Update, type_url};

/// Name of the secret with the workload's certificate.
pub(crate) const IDENTITY: &str = "default";
/// Name of the secret with the roots that peers are checked against.
pub(crate) const ROOT: &str = "ROOTCA";

/// A workload's certificate with its key and the roots to trust, all PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Material {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) roots: Vec<u8>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").finish_non_exhaustive()
    }
}

/// Both secrets as one change; `version` tells this certificate from the one before.
pub(crate) fn update(material: &Material, version: &str) -> Update {
    let identity = Secret {
        name: IDENTITY.to_owned(),
        r#type: Some(Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(&material.chain)),
            private_key: Some(inline(&material.key)),
            ..TlsCertificate::default()
        })),
    };
    let roots = Secret {
        name: ROOT.to_owned(),
        r#type: Some(Type::ValidationContext(CertificateValidationContext {
            trusted_ca: Some(inline(&material.roots)),
            ..CertificateValidationContext::default()
        })),
    };
    Update {
        type_url: type_url::SECRET.to_owned(),
        upserts: [(IDENTITY, identity), (ROOT, roots)]
            .into_iter()
            .map(|(name, secret)| (name.to_owned(), version.to_owned(), any(&secret)))
            .collect(),
        removed: Vec::new(),
    }
}

pub(super) fn inline(bytes: &[u8]) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes.to_vec())), ..DataSource::default() }
}
