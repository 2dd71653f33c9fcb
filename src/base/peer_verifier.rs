//! Verifiers of peers with one question left to answer: whose certificate is taken. Signatures of the handshake are checked in one way for
//! all of them, certificates of version 1 included.

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::version1;

/// What a peer shows.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'s> {
    /// Its certificate.
    pub leaf: &'s CertificateDer<'s>,
    /// Those of authorities that it sent along.
    pub intermediates: &'s [CertificateDer<'s>],
    /// When.
    pub now: UnixTime,
    /// Algorithms of signatures that count.
    pub algorithms: &'s WebPkiSupportedAlgorithms,
}

/// Which servers are taken.
pub trait JudgeServer: Debug + Send + Sync {
    /// Whether what a server shows makes it the one that is called by this name.
    ///
    /// # Errors
    /// Why it is not.
    fn judge(&self, shown: Shown<'_>, name: &ServerName<'_>) -> Result<(), Error>;
}

/// Takes every server: it is asked whether it answers, not who it is.
#[derive(Debug)]
pub struct AnyServer;

impl JudgeServer for AnyServer {
    fn judge(&self, _: Shown<'_>, _: &ServerName<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A verifier of servers.
#[derive(Debug)]
pub struct ServerVerifier<J> {
    /// Says which are taken.
    pub judge: J,
    /// Algorithms of signatures that count.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl<J: JudgeServer> ServerCertVerifier for ServerVerifier<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown { leaf: end_entity, intermediates, now, algorithms: &self.algorithms };
        self.judge.judge(shown, server_name).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls12(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls13(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Which clients are taken.
pub trait JudgeClient: Debug + Send + Sync {
    /// Whether what a client shows is enough, beside or instead of what `inner` says of it.
    ///
    /// # Errors
    /// Why it is not.
    fn judge(&self, shown: Shown<'_>, inner: &dyn ClientCertVerifier) -> Result<(), Error>;
}

/// A verifier of clients around another one, which says whether clients are asked for a certificate, and must have one.
#[derive(Debug)]
pub struct ClientVerifier<J> {
    /// Says which are taken.
    pub judge: J,
    /// The other one.
    pub inner: Arc<dyn ClientCertVerifier>,
    /// Algorithms of signatures that count.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl<J: JudgeClient> ClientCertVerifier for ClientVerifier<J> {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let shown = Shown { leaf: end_entity, intermediates, now, algorithms: &self.algorithms };
        self.judge.judge(shown, &*self.inner).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls12(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        version1::verify_tls13(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
