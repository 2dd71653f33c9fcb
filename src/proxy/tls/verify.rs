//! Verification of upstream servers: signed by a known root, and one of the accepted names.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sagene_base::version1;

use super::names;
use super::secret::Trust;

/// Checks the chain against the roots (without roots, as Envoy, no chain is checked) and the names against the rules.
#[derive(Debug)]
pub(crate) struct UpstreamVerifier {
    pub(crate) trust: Arc<Trust>,
    pub(crate) provider: Arc<CryptoProvider>,
    /// Where there are no rules, the server must prove the name that it is called by.
    pub(crate) by_name: bool,
}

impl ServerCertVerifier for UpstreamVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let version1 = match &self.trust.roots {
            Some(roots) => version1::verify(end_entity, roots, now, algorithms),
            None => version1::is_one(end_entity).then_some(Ok(())),
        };
        let by_name = self.by_name && self.trust.names.is_empty();
        match version1 {
            // It has no place for the names that count.
            Some(_) if by_name => return Err(CertificateError::NotValidForName.into()),
            Some(verified) => verified?,
            None => {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                if by_name {
                    verify_server_name(&parsed, server_name)?;
                }
                if let Some(roots) = &self.trust.roots {
                    let all = algorithms.all;
                    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)?;
                }
            }
        }
        if let (Some(revocations), Some(roots)) = (&self.trust.revocations, &self.trust.roots) {
            revocations.check(end_entity, intermediates, roots, now, algorithms)?;
        }
        let peer = names::read(end_entity).ok_or(CertificateError::BadEncoding)?;
        if names::accepted(&peer, &self.trust.names) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls12(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls13(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
