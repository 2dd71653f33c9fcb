//! Accepts connections and runs an HTTP router on each: plain or TLS, HTTP/1.1 and HTTP/2, draining at the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use sagene_base::{drain::DrainWatch, task};
use sagene_identity::peer::identity_of;
use sagene_xds::server::RemoteAddress;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::debug;

use crate::security::authentication::{Encrypted, PeerCertificate};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Headers that take longer end the connection.
const HEADERS: Duration = Duration::from_secs(30);

/// Bytes of responses that wait in a connection besides those the kernel holds: hundreds of sidecars connect at once.
const SEND_BUFFER: usize = 64 * 1024;

/// Supplies the TLS configuration for the next connection.
pub(crate) type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// One listener.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    /// `None` for plain text.
    pub(crate) tls: Option<TlsSource>,
    pub(crate) drain: DrainWatch,
}

/// What is known of a connection, put into the extensions of its requests.
#[derive(Clone)]
struct Facts {
    remote: SocketAddr,
    encrypted: bool,
    peer: Option<PeerCertificate>,
}

impl Server {
    /// Serves until drained.
    pub(crate) async fn run(self) -> io::Result<()> {
        let server = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                accepted = server.listener.accept() => accepted,
                _ = server.drain.draining() => return Ok(()),
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a client that went at once: others must still be served.
                    debug!(server = server.name, %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let server = server.clone();
            drop(task::spawn(server.name, async move {
                if let Err(error) = server.connection(stream, remote).await {
                    debug!(server = server.name, %remote, %error, "connection ended");
                }
            }));
        }
    }

    async fn connection(&self, stream: TcpStream, remote: SocketAddr) -> Result<(), BoxError> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return self.serve(stream, Facts { remote, encrypted: false, peer: None }).await;
        };
        let stream = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls()).accept(stream)).await??;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = certificate.and_then(identity_of).map(PeerCertificate);
        self.serve(stream, Facts { remote, encrypted: true, peer }).await
    }

    async fn serve<S>(&self, stream: S, facts: Facts) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            let facts = facts.clone();
            let extensions = request.extensions_mut();
            extensions.insert(RemoteAddress(facts.remote));
            if facts.encrypted {
                extensions.insert(Encrypted);
            }
            if let Some(peer) = facts.peer {
                extensions.insert(peer);
            }
            router.clone().oneshot(request)
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(1000)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return result,
            _ = self.drain.draining() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            result = connection => result,
            () = self.drain.forced() => Ok(()),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
