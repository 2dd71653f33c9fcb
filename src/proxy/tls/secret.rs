//! Certificates and trust roots by name.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::revocation::Revocations;
use crate::config::proto::{self, tls};
use crate::config::{FieldError, SanMatch, Within, refuse_fields};

/// A certificate chain and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Trust roots and the names that peers must have.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) roots: Option<Arc<RootCertStore>>,
    pub(crate) names: Vec<SanMatch>,
    /// What authorities took back; `None` = nobody asks.
    pub(crate) revocations: Option<Arc<Revocations>>,
}

impl Identity {
    pub(crate) fn compile(from: &tls::TlsCertificate) -> Result<Self, FieldError> {
        let chain = from
            .certificate_chain
            .as_ref()
            .ok_or_else(|| FieldError::new("certificate_chain", "is missing"))?;
        let key = from.private_key.as_ref().ok_or_else(|| FieldError::new("private_key", "is missing"))?;
        let chain =
            certificates(&proto::data(chain).within("certificate_chain")?).within("certificate_chain")?;
        let key = PrivateKeyDer::from_pem_slice(&proto::data(key).within("private_key")?)
            .map_err(|error| FieldError::new("private_key", format!("is not a PEM key: {error}")))?;
        Ok(Self { chain, key })
    }

    pub(crate) fn copy(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

impl Trust {
    pub(crate) fn compile(from: &tls::CertificateValidationContext) -> Result<Self, FieldError> {
        refuse_fields!(
            from,
            verify_certificate_spki,
            verify_certificate_hash,
            match_subject_alt_names,
            require_signed_certificate_timestamp,
            allow_expired_certificate,
            trust_chain_verification,
            custom_validator_config,
            max_verify_depth,
        );
        let roots = match &from.trusted_ca {
            None if from.system_root_certs.is_some() => Some(system_roots()?),
            None => None,
            Some(source) => {
                let mut roots = RootCertStore::empty();
                for certificate in
                    certificates(&proto::data(source).within("trusted_ca")?).within("trusted_ca")?
                {
                    roots
                        .add(certificate)
                        .map_err(|error| FieldError::new("trusted_ca", error.to_string()))?;
                }
                Some(Arc::new(roots))
            }
        };
        let names = from.match_typed_subject_alt_names.iter().enumerate();
        let names = names
            .map(|(i, each)| SanMatch::compile(each).within_item("match_typed_subject_alt_names", i))
            .collect::<Result<_, _>>()?;
        let revocations = match &from.crl {
            Some(crl) => {
                let pem = proto::data(crl).within("crl")?;
                Some(Arc::new(Revocations::compile(&pem, from.only_verify_leaf_cert_crl).within("crl")?))
            }
            None => None,
        };
        Ok(Self { roots, names, revocations })
    }
}

/// Where systems keep the certificates that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates that the system trusts, read once (`SSL_CERT_FILE`, else the usual places).
fn system_roots() -> Result<Arc<RootCertStore>, FieldError> {
    static ROOTS: std::sync::OnceLock<Arc<RootCertStore>> = std::sync::OnceLock::new();
    if let Some(known) = ROOTS.get() {
        return Ok(known.clone());
    }
    let named = std::env::var("SSL_CERT_FILE").ok();
    let mut places = named.as_deref().into_iter().chain(BUNDLES);
    let pem = places.find_map(|path| std::fs::read(path).ok()).ok_or_else(|| {
        let reason = format!("no file of trusted certificates here: none of {}", BUNDLES.join(", "));
        FieldError::new(
            "system_root_certs",
            format!("{reason}; install ca-certificates or set SSL_CERT_FILE"),
        )
    })?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&pem).within("system_root_certs")?);
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FieldError> {
    let list = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let list = list.map_err(|error| FieldError::new("", format!("is not PEM: {error}")))?;
    if list.is_empty() { Err(FieldError::new("", "holds no certificate")) } else { Ok(list) }
}
