//! Servers with a certificate out of files.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// The server's side of handshakes, with the protocols it offers.
pub(super) fn acceptor(certificate: &str, key: &str, protocols: &[&str]) -> Result<TlsAcceptor, String> {
    let unusable = |file: &str, error: &dyn std::fmt::Display| format!("cannot load {file}: {error}");
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unusable(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let built = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private);
    let mut config = built.map_err(|error| unusable(certificate, &error))?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves HTTP over TLS to whoever connects.
pub(super) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, routes: Router) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, acceptor.clone(), routes.clone()));
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, routes: Router) {
    // A client that breaks off is gone.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service =
        service_fn(move |request: Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
    let _ended =
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
