//! Passing questions on to the servers of `/etc/resolv.conf`, byte for byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use crate::capture::PROXY_MARK;

/// How long one server may take before the next is asked.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Port of the servers.
const DNS: u16 = 53;
/// Largest answer taken over UDP.
const UDP_BYTES: usize = 4096;

/// The servers that are asked, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Upstream {
    servers: Vec<SocketAddr>,
}

impl Upstream {
    /// Asks `servers` on the DNS port.
    pub(super) fn new(servers: &[IpAddr]) -> Self {
        Self { servers: servers.iter().map(|address| SocketAddr::new(*address, DNS)).collect() }
    }

    /// Asks servers at other ports.
    #[cfg(test)]
    pub(super) fn at(servers: Vec<SocketAddr>) -> Self {
        Self { servers }
    }

    /// The first server's answer to `question` over UDP.
    pub(super) async fn ask_udp(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in &self.servers {
            match timeout(ATTEMPT, exchange_udp(*server, question)).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "DNS server did not answer"),
                Err(_) => tracing::debug!(%server, "DNS server did not answer in time"),
            }
        }
        None
    }

    /// The first server's answer to `question` over TCP.
    pub(super) async fn ask_tcp(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in &self.servers {
            match timeout(ATTEMPT, exchange_tcp(*server, question)).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "DNS server did not answer"),
                Err(_) => tracing::debug!(%server, "DNS server did not answer in time"),
            }
        }
        None
    }
}

/// A socket of its own for each question: a random port makes forged answers hard.
async fn exchange_udp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Without the capability the capture rules know us by user id.
    let _ = socket2::SockRef::from(&socket).set_mark(PROXY_MARK);
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything but the answer to this very question is somebody else's.
        if length >= 2 && buffer[..2] == question[..2] {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn exchange_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let _ = socket2::SockRef::from(&socket).set_mark(PROXY_MARK);
    let mut stream = socket.connect(server).await?;
    write_framed(&mut stream, question).await?;
    read_framed(&mut stream).await
}

/// Reads one message of a TCP stream: two bytes of length, then the message.
pub(super) async fn read_framed(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message to a TCP stream.
pub(super) async fn write_framed(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    message: &[u8],
) -> std::io::Result<()> {
    let length =
        u16::try_from(message.len()).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
