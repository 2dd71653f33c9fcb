//! Asking the machine's own DNS servers, through sockets in the machine's network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::network::HostNetwork;

const RESOLVER_FILE: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// For one server; the next one is asked then.
const ATTEMPT: Duration = Duration::from_secs(2);
const MAX_UDP_BYTES: usize = 4096;

/// The machine's servers.
#[derive(Clone)]
pub(super) struct Upstream {
    host: HostNetwork,
}

impl Upstream {
    pub(super) fn new(host: HostNetwork) -> Self {
        Self { host }
    }

    /// The first answer to a question sent by UDP; `None` when no server answers.
    pub(super) async fn ask_udp(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in servers() {
            match timeout(ATTEMPT, self.exchange_udp(server, question)).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a DNS server refused"),
                Err(_) => tracing::debug!(%server, "a DNS server did not answer"),
            }
        }
        None
    }

    /// As [`Self::ask_udp`], by TCP.
    pub(super) async fn ask_tcp(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in servers() {
            let exchange = async {
                let mut stream = self.host.connect(server).await?;
                write_framed(&mut stream, question).await?;
                read_framed(&mut stream).await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
            };
            if let Ok(Ok(answer)) = timeout(ATTEMPT, exchange).await {
                return Some(answer);
            }
        }
        None
    }

    async fn exchange_udp(&self, server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
        let socket = UdpSocket::from_std(self.host.udp_to(server)?)?;
        socket.send(question).await?;
        let mut buffer = vec![0; MAX_UDP_BYTES];
        loop {
            let length = socket.recv(&mut buffer).await?;
            // An answer to an earlier question of this port, or a guess, has another id.
            if length >= 2 && buffer.get(..2) == question.get(..2) {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }
}

/// Read each time: laptops move between networks.
fn servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(RESOLVER_FILE).unwrap_or_default();
    parse(&text)
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}

/// One message with its length before it; `None` at the end of the stream.
pub(super) async fn read_framed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Writes one message with its length before it.
pub(super) async fn write_framed(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_order_and_comments_are_not() {
        let servers = parse(
            "# nameserver 9.9.9.9\nsearch home\nnameserver 127.0.0.53\nnameserver ::1 # local\nnameserver no\n",
        );
        assert_eq!(servers, ["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }
}
