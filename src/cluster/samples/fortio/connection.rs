//! One connection to a target, opened when it is needed and kept while it lasts.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sagene_base::resolve::Resolver;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Which protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    /// With prior knowledge, as gRPC does.
    Http2,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection, or the place for one.
pub(super) struct Connection {
    host: String,
    port: u16,
    protocol: Protocol,
    longest: Duration,
    sender: Option<Sender>,
    /// How many were opened.
    pub(super) opened: u64,
    /// Where the last one led.
    pub(super) address: Option<SocketAddr>,
}

impl Connection {
    pub(super) fn to(host: &str, port: u16, protocol: Protocol, longest: Duration) -> Self {
        Self { host: host.to_owned(), port, protocol, longest, sender: None, opened: 0, address: None }
    }

    /// Forgets the connection; the next request opens another one.
    pub(super) fn close(&mut self) {
        self.sender = None;
    }

    /// Sends a request and returns the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let longest = self.longest;
        let answer =
            timeout(longest, self.exchange(request)).await.unwrap_or_else(|_| Err("timeout".to_owned()));
        if answer.is_err() {
            self.close();
        }
        answer
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let closed = match &self.sender {
            Some(Sender::Http1(sender)) => sender.is_closed(),
            Some(Sender::Http2(sender)) => sender.is_closed(),
            None => true,
        };
        if closed {
            self.sender = Some(self.open().await?);
        }
        let answer = match &mut self.sender {
            Some(Sender::Http1(sender)) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            Some(Sender::Http2(sender)) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            None => return Err("not connected".to_owned()),
        };
        answer.map_err(|error| error.to_string())
    }

    async fn open(&mut self) -> Result<Sender, String> {
        let addresses = Resolver::new().lookup(&self.host).await.map_err(|error| error.to_string())?;
        let address = addresses.first().ok_or_else(|| format!("{} has no address", self.host))?;
        let address = SocketAddr::from((*address, self.port));
        let stream =
            TcpStream::connect(address).await.map_err(|error| format!("dial tcp {address}: {error}"))?;
        let _slower_but_works = stream.set_nodelay(true);
        self.opened += 1;
        self.address = Some(address);
        let stream = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) =
                    http1::handshake(stream).await.map_err(|error| error.to_string())?;
                tokio::spawn(connection);
                Ok(Sender::Http1(sender))
            }
            Protocol::Http2 => {
                let handshake = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) = handshake.map_err(|error| error.to_string())?;
                tokio::spawn(connection);
                Ok(Sender::Http2(sender))
            }
        }
    }
}
