//! TLS as curl speaks it where the command line names certificates: the roots of `--cacert` and the certificate of `--cert`. As with
//! OpenSSL a certificate without alternative names proves the common name of its subject, and certificates of X.509 version 1 count.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sagene_base::version1;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::arguments::Request;
use super::transfer::Failure;

/// Where distributions keep the public authorities, for a command line without `--cacert`.
const PUBLIC_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The client's side of handshakes.
pub(super) fn config(request: &Request) -> Result<ClientConfig, Failure> {
    let provider = sagene_base::crypto::provider();
    let roots = match &request.ca_file {
        Some(file) => roots(file)?,
        None => {
            PUBLIC_AUTHORITIES.iter().find_map(|file| roots(file).ok()).unwrap_or_else(RootCertStore::empty)
        }
    };
    let verifier = Verifier { roots, provider: provider.clone(), insecure: request.insecure };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| (35, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &request.certificate {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let key = request.key.as_ref().unwrap_or(file);
            let unusable = |problem: String| (58, format!("could not load {file} with key {key}: {problem}"));
            let chain = certificates(file).map_err(unusable)?;
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(format!("{key}: {error}")))?;
            let shown = version1::certified(chain, private, &provider);
            builder.with_client_cert_resolver(shown.map_err(|error| unusable(error.to_string()))?)
        }
    };
    config.alpn_protocols =
        if request.http1 { vec![b"http/1.1".to_vec()] } else { vec![b"h2".to_vec(), b"http/1.1".to_vec()] };
    Ok(config)
}

fn roots(file: &str) -> Result<RootCertStore, Failure> {
    let unusable = || (77, format!("error setting certificate verify locations:  CAfile: {file}"));
    let mut roots = RootCertStore::empty();
    let (added, _strange) = roots.add_parsable_certificates(certificates(file).map_err(|_| unusable())?);
    if added == 0 { Err(unusable()) } else { Ok(roots) }
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| format!("{file}: {error}"))
}

#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    insecure: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.insecure {
            return Ok(ServerCertVerified::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        if let Some(verified) = version1::verify(end_entity, &self.roots, now, algorithms) {
            verified?;
            return by_subject(end_entity, server_name);
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)?;
        if has_alternative_names(end_entity) {
            verify_server_name(&parsed, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        by_subject(end_entity, server_name)
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

fn has_alternative_names(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(certificate) else { return false };
    matches!(read.subject_alternative_name(), Ok(Some(_)))
}

/// Whether the subject's common name is the server's, a `*` in place of its first label allowed.
fn by_subject(
    certificate: &CertificateDer<'_>,
    server: &ServerName<'_>,
) -> Result<ServerCertVerified, Error> {
    let (_, read) =
        X509Certificate::from_der(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let server = server.to_str().to_ascii_lowercase();
    let parent = server.split_once('.').map(|(_, parent)| parent);
    let proven = read.subject().iter_common_name().filter_map(|name| name.as_str().ok()).any(|name| {
        let name = name.to_ascii_lowercase();
        name == server || name.strip_prefix("*.").is_some_and(|wild| Some(wild) == parent)
    });
    if proven { Ok(ServerCertVerified::assertion()) } else { Err(CertificateError::NotValidForName.into()) }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    #[test]
    fn the_common_name_counts_where_there_are_no_others() {
        let (root_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&root_key).expect("a root");
        let issuer = Issuer::new(params, root_key);
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).expect("a root");
        let verifier = Verifier { roots, provider: sagene_base::crypto::provider(), insecure: false };
        let leaf = |common: &str, other: Option<&str>| {
            let mut params = CertificateParams::new(Vec::new()).expect("names");
            params.distinguished_name.push(DnType::CommonName, common);
            let other = other.map(|name| SanType::DnsName(name.try_into().expect("a name")));
            params.subject_alt_names.extend(other);
            params.signed_by(&key, &issuer).expect("a leaf").der().clone()
        };
        let accepted = |leaf: &CertificateDer<'_>, name: &str| {
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(accepted(&leaf("httpbin.example.com", None), "httpbin.example.com"));
        assert!(accepted(&leaf("*.example.com", None), "httpbin.example.com"));
        assert!(!accepted(&leaf("*.example.com", None), "a.httpbin.example.com"));
        assert!(!accepted(&leaf("other.example.com", None), "httpbin.example.com"));
        let two = leaf("httpbin.example.com", Some("other.example.com"));
        assert!(accepted(&two, "other.example.com") && !accepted(&two, "httpbin.example.com"));
    }
}
