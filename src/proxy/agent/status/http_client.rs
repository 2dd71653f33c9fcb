//! One HTTP request to the application of this pod, for probes and metrics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sagene_base::peer_verifier::{AnyServer, ServerVerifier};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect { address: SocketAddr, source: std::io::Error },
    /// No TLS session.
    #[error("TLS with {address} failed")]
    Tls { address: SocketAddr, source: std::io::Error },
    /// The TLS client could not be built.
    #[error("no TLS client")]
    TlsClient(#[source] rustls::Error),
    /// No HTTP answer.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The answer is longer than taken.
    #[error("the answer has more than {0} bytes, or ended early")]
    Body(usize),
    /// Took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Connects from the address that capture rules let through to the application (127.0.0.6, or ::6), so that neither
/// the pod's proxy nor its policies see the agent's own calls.
pub(super) async fn connect_as_proxy(address: SocketAddr) -> Result<TcpStream, ClientError> {
    let connect = async {
        let (socket, source): (_, IpAddr) = match address {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, Ipv4Addr::new(127, 0, 0, 6).into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6).into()),
        };
        // ::6 exists only where the pod's set-up gave it to the loopback device.
        if let Err(error) = socket.bind(SocketAddr::new(source, 0)) {
            tracing::debug!(%source, %error, "probing without the proxy's source address");
        }
        socket.connect(address).await
    };
    connect.await.map_err(|source| ClientError::Connect { address, source })
}

/// Sends one request over `stream`; the connection ends with its answer.
pub(super) async fn send<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, ClientError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Http)?;
    sagene_base::task::spawn("application connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the application ended");
        }
    });
    sender.send_request(request).await.map_err(ClientError::Http)
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_body(body: Incoming, limit: usize) -> Result<Bytes, ClientError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(_) => Err(ClientError::Body(limit)),
    }
}

/// TLS to the application without looking at its certificate, as kubelet does for HTTPS probes.
pub(super) async fn tls(
    stream: TcpStream,
    address: SocketAddr,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
    let provider = sagene_base::crypto::provider();
    let verifier =
        ServerVerifier { judge: AnyServer, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::TlsClient)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::from(address.ip()), stream)
        .await
        .map_err(|source| ClientError::Tls { address, source })
}
