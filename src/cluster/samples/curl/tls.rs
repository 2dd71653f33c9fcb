//! TLS as curl speaks it where the command line names certificates: the roots of `--cacert` and the certificate of `--cert`. As with
//! OpenSSL a certificate without alternative names proves the common name of its subject, and certificates of X.509 version 1 count.

use std::sync::Arc;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use sagene_base::peer_verifier::{JudgeServer, ServerVerifier, Shown};
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
    let judge = Servers { roots, insecure: request.insecure };
    let verifier = ServerVerifier { judge, algorithms: provider.signature_verification_algorithms };
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

/// Which servers curl takes.
#[derive(Debug)]
struct Servers {
    roots: RootCertStore,
    /// `--insecure`: all.
    insecure: bool,
}

impl JudgeServer for Servers {
    fn judge(&self, shown: Shown<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        if self.insecure {
            return Ok(());
        }
        let Shown { leaf, intermediates, now, algorithms } = shown;
        if let Some(verified) = version1::verify(leaf, &self.roots, now, algorithms) {
            verified?;
            return by_subject(leaf, server_name);
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)?;
        if has_alternative_names(leaf) {
            verify_server_name(&parsed, server_name)?;
            return Ok(());
        }
        by_subject(leaf, server_name)
    }
}

fn has_alternative_names(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(certificate) else { return false };
    matches!(read.subject_alternative_name(), Ok(Some(_)))
}

/// Whether the subject's common name is the server's, a `*` in place of its first label allowed.
fn by_subject(certificate: &CertificateDer<'_>, server: &ServerName<'_>) -> Result<(), Error> {
    let (_, read) =
        X509Certificate::from_der(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let server = server.to_str().to_ascii_lowercase();
    let parent = server.split_once('.').map(|(_, parent)| parent);
    let proven = read.subject().iter_common_name().filter_map(|name| name.as_str().ok()).any(|name| {
        let name = name.to_ascii_lowercase();
        name == server || name.strip_prefix("*.").is_some_and(|wild| Some(wild) == parent)
    });
    if proven { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
    use rustls::pki_types::UnixTime;

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
        let judge = Servers { roots, insecure: false };
        let algorithms = sagene_base::crypto::provider().signature_verification_algorithms;
        let leaf = |common: &str, other: Option<&str>| {
            let mut params = CertificateParams::new(Vec::new()).expect("names");
            params.distinguished_name.push(DnType::CommonName, common);
            let other = other.map(|name| SanType::DnsName(name.try_into().expect("a name")));
            params.subject_alt_names.extend(other);
            params.signed_by(&key, &issuer).expect("a leaf").der().clone()
        };
        let accepted = |leaf: &CertificateDer<'_>, name: &str| {
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            let (now, algorithms) = (UnixTime::now(), &algorithms);
            judge.judge(Shown { leaf, intermediates: &[], now, algorithms }, &name).is_ok()
        };
        assert!(accepted(&leaf("httpbin.example.com", None), "httpbin.example.com"));
        assert!(accepted(&leaf("*.example.com", None), "httpbin.example.com"));
        assert!(!accepted(&leaf("*.example.com", None), "a.httpbin.example.com"));
        assert!(!accepted(&leaf("other.example.com", None), "httpbin.example.com"));
        let two = leaf("httpbin.example.com", Some("other.example.com"));
        assert!(accepted(&two, "other.example.com") && !accepted(&two, "httpbin.example.com"));
    }
}
