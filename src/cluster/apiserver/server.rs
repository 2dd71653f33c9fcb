//! Sockets, TLS and HTTP connections.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authentication::certificate_user;
use super::http::Api;
use super::pki::Pki;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to send a request head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Most connections at a time.
const CONNECTION_LIMIT: usize = 4096;
/// Pause after accepting failed (no file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long running requests may take after shutdown began.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Why the server could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The certificates do not make a TLS configuration.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// Client certificates cannot be verified with this CA.
    #[error("cannot set up the verification of client certificates")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A listener cannot be used.
    #[error("cannot use a listener")]
    Listener(#[from] std::io::Error),
}

/// The running listeners and connections.
pub(crate) struct Server {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// TLS settings: our certificate, client certificates of our CA (or none), HTTP/2 and HTTP/1.1.
fn tls(pki: &Pki) -> Result<rustls::ServerConfig, ServerError> {
    let provider = sagene_base::crypto::provider();
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca.clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(pki.serving_chain.clone(), pki.serving_key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Server {
    /// Serves on every listener.
    pub(crate) fn start(pki: &Pki, listeners: Vec<StdListener>, api: Arc<Api>) -> Result<Self, ServerError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(pki)?));
        let server = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let connections = Arc::new(Semaphore::new(CONNECTION_LIMIT));
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            let accept = accept_loop(
                listener,
                acceptor.clone(),
                api.clone(),
                connections.clone(),
                server.stop.clone(),
                server.tasks.clone(),
            );
            server.tasks.spawn(accept);
        }
        server.tasks.close();
        Ok(server)
    }

    /// Stops accepting, ends watches, and waits a little for running requests.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::debug!("connections were still open at shutdown");
        }
    }
}

async fn accept_loop(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    api: Arc<Api>,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (acceptor, api, stop) = (acceptor.clone(), api.clone(), stop.clone());
                tasks.spawn(async move {
                    serve_connection(stream, acceptor, api, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, acceptor: TlsAcceptor, api: Arc<Api>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let user = Arc::new(certificate.and_then(certificate_user));
    let ended = stop.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (api, user, stop) = (api.clone(), user.clone(), stop.clone());
        async move {
            Ok::<Response<Body>, std::convert::Infallible>(
                api.answer(request, user.as_ref().as_ref(), stop).await,
            )
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    builder
        .http2()
        .timer(hyper_util::rt::TokioTimer::new())
        .max_concurrent_streams(1000)
        .keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ended.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(error, "connection ended");
    }
}
