//! Certificates and keys of gateways, from Kubernetes secrets.

use std::sync::Arc;

use sagene_api::kubernetes::Secret;

use sagene_model::gateway_api::is_secret_granted as is_granted;

use super::proto::{core, tls};
use super::{Proxy, Resource};
use crate::index::Index;

/// Ends the name of a secret's CA certificates.
const CA_SUFFIX: &str = "-cacert";

/// The secret a proxy asks for by an SDS name. `None` where it does not exist, is not whole, or is not the proxy's to see.
pub(crate) fn secret(index: &Index, proxy: &Proxy, name: &str) -> Option<Arc<Resource>> {
    let path = name.strip_prefix("kubernetes://").or_else(|| name.strip_prefix("kubernetes-gateway://"))?;
    let (namespace, object) = path.split_once('/').unwrap_or((&proxy.namespace, path));
    // Keys leave their namespace only where that grants it.
    if namespace != proxy.namespace && !is_granted(&index.snapshot, &proxy.namespace, namespace, object) {
        return None;
    }
    let find = |object: &str| index.snapshot.secrets.get(namespace, object);
    if let Some(base) = object.strip_suffix(CA_SUFFIX) {
        // The roots may stand in a secret of their own, or beside the certificate.
        let own = find(object).and_then(|secret| roots(&secret.spec));
        let certificates = own.or_else(|| find(base).and_then(|secret| roots(&secret.spec)))?;
        return Some(crate::generate::resource::encode(name, &validation_context(name, certificates)));
    }
    let secret = find(object)?;
    let (chain, key) = certificate(&secret.spec)?;
    Some(crate::generate::resource::encode(name, &tls_certificate(name, chain, key)))
}

fn value<'a>(secret: &'a Secret, keys: &[&str]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| secret.data.get(*key)).map(|bytes| bytes.0.as_slice())
}

fn certificate(secret: &Secret) -> Option<(&[u8], &[u8])> {
    Some((value(secret, &["cert", "tls.crt"])?, value(secret, &["key", "tls.key"])?))
}

struct Roots<'a> {
    certificates: &'a [u8],
    revocations: Option<&'a [u8]>,
}

fn roots(secret: &Secret) -> Option<Roots<'_>> {
    let certificates = value(secret, &["cacert", "ca.crt"])?;
    Some(Roots { certificates, revocations: value(secret, &["crl", "ca.crl"]) })
}

fn bytes(content: &[u8]) -> Option<core::DataSource> {
    Some(core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineBytes(content.to_vec())),
        ..core::DataSource::default()
    })
}

fn tls_certificate(name: &str, chain: &[u8], key: &[u8]) -> tls::Secret {
    let certificate = tls::TlsCertificate {
        certificate_chain: bytes(chain),
        private_key: bytes(key),
        ..tls::TlsCertificate::default()
    };
    tls::Secret { name: name.to_owned(), r#type: Some(tls::secret::Type::TlsCertificate(certificate)) }
}

fn validation_context(name: &str, roots: Roots<'_>) -> tls::Secret {
    let context = tls::CertificateValidationContext {
        trusted_ca: bytes(roots.certificates),
        crl: roots.revocations.and_then(bytes),
        ..tls::CertificateValidationContext::default()
    };
    tls::Secret { name: name.to_owned(), r#type: Some(tls::secret::Type::ValidationContext(context)) }
}
