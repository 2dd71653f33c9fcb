//! A workload's side of getting a certificate: a fresh key and the request for it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use thiserror::Error;

/// A new private key and the certificate signing request made with it.
pub struct CertificateRequest {
    /// PKCS#8 in PEM. Never leaves the process but for the data path's TLS and its private state file.
    pub key_pem: String,
    /// PKCS#10 in PEM.
    pub csr_pem: String,
}

impl std::fmt::Debug for CertificateRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateRequest").field("csr_pem", &self.csr_pem).finish_non_exhaustive()
    }
}

/// Why no request could be made.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The identity holds characters that a certificate cannot.
    #[error("{0:?} cannot stand in a certificate")]
    Identity(String),
    /// The cryptography failed.
    #[error("cannot make a key and a certificate request")]
    Crypto(#[source] rcgen::Error),
}

impl CertificateRequest {
    /// A request for `spiffe_id` with a new ECDSA P-256 key. The authority takes the identity from the caller's credentials; the
    /// name in the request only says what is expected.
    pub fn generate(spiffe_id: &str) -> Result<Self, RequestError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(RequestError::Crypto)?;
        let name = spiffe_id.try_into().map_err(|_| RequestError::Identity(spiffe_id.to_owned()))?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.subject_alt_names = vec![SanType::URI(name)];
        let request = parameters.serialize_request(&key).map_err(RequestError::Crypto)?;
        let csr_pem = request.pem().map_err(RequestError::Crypto)?;
        Ok(Self { key_pem: key.serialize_pem(), csr_pem })
    }
}
