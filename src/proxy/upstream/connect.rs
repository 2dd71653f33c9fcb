//! Opening one upstream connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::config::{Cluster, Endpoint, Transport};
use crate::listen::proxy_protocol::{self, Addresses};
use crate::listen::stream::{Prefixed, Stream};
use crate::tls::context::UpstreamTls;

use super::original::Origin;

/// How long an address has before the endpoint's next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);

/// Which application protocols are offered in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// As the cluster says.
    AsConfigured,
    /// HTTP/1.1; `true` = in the form that `istio.alpn` uses.
    Http1(bool),
    /// HTTP/2; likewise.
    Http2(bool),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// As Envoy writes it: what the system said, without its number.
    #[error("delayed connect error: {}", words_of(.0))]
    Io(#[from] std::io::Error),
    #[error("connection timeout")]
    Timeout,
    #[error("TLS_error: {0}")]
    Tls(std::io::Error),
    #[error("TLS_error:|Secret is not supplied by SDS")]
    NoSecret,
}

/// The system's words for an error.
fn words_of(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// Connects for the connection `from`, within the cluster's connect timeout (TLS included).
pub(crate) async fn connect(
    cluster: &Cluster,
    endpoint: &Endpoint,
    transport: &Transport,
    from: Addresses,
    sni: Option<&str>,
    offer: Offer,
    origin: Origin,
) -> Result<Stream, ConnectError> {
    let attempt = async {
        let mut io = dial(cluster, endpoint, origin).await?;
        let _ = io.set_nodelay(true);
        if let Some(version) = transport.proxy_header {
            io.write_all(&proxy_protocol::write(version, from)).await?;
        }
        let plain = Prefixed { io, prefix: BytesMut::new() };
        match &transport.tls {
            None => Ok(Stream::Plain(plain)),
            Some(tls) => handshake(tls, sni, offer, endpoint.address.ip(), plain).await,
        }
    };
    tokio::time::timeout(cluster.connect_timeout, attempt).await.map_err(|_| ConnectError::Timeout)?
}

/// A connection to the endpoint at whichever of its addresses takes one first.
async fn dial(cluster: &Cluster, endpoint: &Endpoint, origin: Origin) -> std::io::Result<TcpStream> {
    if endpoint.also_at.is_empty() {
        return open(cluster, endpoint.address, origin)?.connect(endpoint.address).await;
    }
    // Boxed: hardly any endpoint has several addresses, and the others must not pay for it.
    Box::pin(dial_any(cluster, endpoint, origin)).await
}

/// Tries one address after the other, the next as soon as one failed or took its time (RFC 8305).
async fn dial_any(cluster: &Cluster, endpoint: &Endpoint, origin: Origin) -> std::io::Result<TcpStream> {
    let mut left = std::iter::once(endpoint.address).chain(endpoint.also_at.iter().copied());
    let mut dials = FuturesUnordered::new();
    let mut last = None;
    loop {
        let next = left.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            dials.push(async move { open(cluster, address, origin)?.connect(address).await });
        }
        let waiting = async {
            if is_last { std::future::pending().await } else { tokio::time::sleep(HEAD_START).await }
        };
        tokio::select! {
            ended = dials.next() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = Some(error),
                None => return Err(last.unwrap_or_else(|| std::io::ErrorKind::NotConnected.into())),
            },
            () = waiting => {}
        }
    }
}

fn open(cluster: &Cluster, address: SocketAddr, origin: Origin) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let reference = socket2::SockRef::from(&socket);
    if let Some(mark) = origin.mark {
        reference.set_mark(mark)?;
    }
    if let Some((time, interval, probes)) = cluster.keepalive {
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(time) = time {
            keepalive = keepalive.with_time(Duration::from_secs(time.into()));
        }
        if let Some(interval) = interval {
            keepalive = keepalive.with_interval(Duration::from_secs(interval.into()));
        }
        if let Some(probes) = probes {
            keepalive = keepalive.with_retries(probes);
        }
        reference.set_tcp_keepalive(&keepalive)?;
    }
    if let Some(caller) = origin.caller {
        crate::sys::make_transparent(&reference, address)?;
        if caller.mark != 0 {
            reference.set_mark(caller.mark)?;
        }
        socket.bind(SocketAddr::new(caller.ip, 0))?;
    } else if let Some(source) = cluster.bind.for_destination(address) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket)
}

async fn handshake(
    tls: &UpstreamTls,
    sni: Option<&str>,
    offer: Offer,
    ip: IpAddr,
    plain: Prefixed,
) -> Result<Stream, ConnectError> {
    let state = tls.current().ok_or(ConnectError::NoSecret)?;
    let config = match offer {
        Offer::AsConfigured => &state.plain,
        Offer::Http1(true) if state.has_alpn => &state.istio_http1,
        Offer::Http2(true) if state.has_alpn => &state.istio_h2,
        Offer::Http1(_) if state.has_alpn => &state.http1,
        Offer::Http2(_) => &state.h2,
        Offer::Http1(_) => &state.plain,
    };
    let name = sni.or(Some(tls.sni.as_str())).filter(|name| !name.is_empty());
    let name = match name.map(|name| ServerName::try_from(name.to_owned())) {
        Some(Ok(name)) => name,
        // Istio's names (`outbound_.80_._.host`) are valid; anything else goes without a name.
        _ => ServerName::IpAddress(ip.into()),
    };
    let stream = TlsConnector::from(config.clone()).connect(name, plain).await.map_err(ConnectError::Tls)?;
    Ok(Stream::Client(Box::new(stream)))
}
