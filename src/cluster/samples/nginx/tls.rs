//! Certificates of servers by name, and of clients.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sagene_base::peer_verifier::ClientVerifier;
use sagene_base::version1::Clients;
use tokio_rustls::TlsAcceptor;

use super::config::{Listener, Server};

/// The server that a client names, else the first.
#[derive(Debug)]
struct ByName(Vec<(Server, Arc<CertifiedKey>)>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named =
            hello.server_name().and_then(|name| self.0.iter().find(|(server, _)| server.is_named(name)));
        named.or_else(|| self.0.first()).map(|(_, key)| key.clone())
    }
}

/// TLS for the servers of a port.
pub(super) fn acceptor(listener: &Listener) -> Result<TlsAcceptor, String> {
    let mut keys = Vec::new();
    let mut roots = RootCertStore::empty();
    for server in &listener.servers {
        keys.push((server.clone(), Arc::new(key_pair(server)?)));
        if let Some(file) = &server.client_certificate {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| format!("{file}: {error}"))?;
            }
        }
    }
    let builder = ServerConfig::builder();
    let builder = if roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        // Who comes without a certificate is told so by HTTP, as nginx does.
        let (roots, provider) = (Arc::new(roots), sagene_base::crypto::provider());
        let inner = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| error.to_string())?;
        let algorithms = provider.signature_verification_algorithms;
        builder.with_client_cert_verifier(Arc::new(ClientVerifier {
            judge: Clients(roots),
            inner,
            algorithms,
        }))
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName(keys)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn key_pair(server: &Server) -> Result<CertifiedKey, String> {
    let (Some(certificate), Some(key)) = (&server.certificate, &server.key) else {
        return Err("listen … ssl wants ssl_certificate and ssl_certificate_key".to_owned());
    };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{key}: {error}"))?;
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private);
    Ok(CertifiedKey::new(chain, signing.map_err(|error| format!("{key}: {error}"))?))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| format!("{file}: {error}"))
}
