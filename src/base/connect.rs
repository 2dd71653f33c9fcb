//! Byte streams to a server, whatever carries them: clients of the mesh's own services are handed a [`Connect`].

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use crate::resolve::Resolver;

/// A connection without its type.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A boxed connection.
pub type BoxedStream = Box<dyn ByteStream>;

/// Makes connections to one server.
pub trait Connect: Send + Sync + 'static {
    /// A new connection, ready for HTTP/2.
    fn connect(&self) -> BoxFuture<'_, io::Result<BoxedStream>>;
}

impl<T: Connect + ?Sized> Connect for Arc<T> {
    fn connect(&self) -> BoxFuture<'_, io::Result<BoxedStream>> {
        (**self).connect()
    }
}

/// Plain TCP. Every address of the host is tried in turn.
#[derive(Debug, Clone)]
pub struct TcpConnect {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Who turns the name into addresses.
    pub resolver: Arc<Resolver>,
    /// Limit for one address. Default of [`TcpConnect::new`]: 5 s.
    pub timeout: Duration,
}

impl TcpConnect {
    /// With a resolver of its own and the default timeout.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let resolver = Arc::new(Resolver::new());
        Self { host: host.into(), port, resolver, timeout: Duration::from_secs(5) }
    }

    /// Splits `host:port`, also `[::1]:port`; `None` where the port is missing or no number.
    pub fn parse(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        Some(Self::new(host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
    }

    /// A connected socket without Nagle's delay.
    pub async fn tcp(&self) -> io::Result<TcpStream> {
        let mut last = None;
        for address in self.resolver.lookup(&self.host).await? {
            match tokio::time::timeout(self.timeout, TcpStream::connect((address, self.port))).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host))
        }))
    }
}

impl Connect for TcpConnect {
    fn connect(&self) -> BoxFuture<'_, io::Result<BoxedStream>> {
        Box::pin(async move { Ok(Box::new(self.tcp().await?) as BoxedStream) })
    }
}

/// A Unix socket.
#[derive(Debug, Clone)]
pub struct UnixConnect {
    /// Where the socket is.
    pub path: PathBuf,
}

impl Connect for UnixConnect {
    fn connect(&self) -> BoxFuture<'_, io::Result<BoxedStream>> {
        Box::pin(async move { Ok(Box::new(UnixStream::connect(&self.path).await?) as BoxedStream) })
    }
}

/// TLS over another connector. The configuration is asked for at each connection, so rotated certificates take effect.
pub struct TlsConnect<C> {
    /// What carries the TLS records.
    pub transport: C,
    /// Name sent as SNI and, by most verifiers, checked.
    pub server_name: ServerName<'static>,
    /// The configuration in force; ALPN should offer `h2` for gRPC.
    pub config: Arc<dyn Fn() -> io::Result<Arc<ClientConfig>> + Send + Sync>,
}

impl<C: Connect> Connect for TlsConnect<C> {
    fn connect(&self) -> BoxFuture<'_, io::Result<BoxedStream>> {
        Box::pin(async move {
            let connector = TlsConnector::from((self.config)()?);
            let transport = self.transport.connect().await?;
            let stream = connector.connect(self.server_name.clone(), transport).await?;
            Ok(Box::new(stream) as BoxedStream)
        })
    }
}
