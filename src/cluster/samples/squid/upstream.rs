//! The server behind the proxy: connections, tunnels and single requests.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sagene_base::resolve::Resolver;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{self, Answer};

/// squid's `connect_timeout`.
const CONNECT: Duration = Duration::from_secs(60);
/// Headers between two neighbours alone (RFC 9110, section 7.6.1), and what is meant for the proxy.
const OF_ONE_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("proxy-connection"),
];

/// Why there is no answer.
pub(super) enum Failure {
    Address(String),
    Connection(String),
}

impl Failure {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Address(host) => answer::no_address(host),
            Self::Connection(problem) => answer::no_connection(problem),
        }
    }
}

/// Connects to the first address of a host that takes it.
pub(super) async fn connect(host: &str, port: u16) -> Result<(TcpStream, IpAddr), Failure> {
    let unknown = || Failure::Address(host.to_owned());
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => Resolver::new().lookup(host).await.map_err(|_| unknown())?,
    };
    let mut failure = unknown();
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => failure = Failure::Connection(error.to_string()),
            Err(_) => failure = Failure::Connection("timed out".to_owned()),
        }
    }
    Err(failure)
}

/// Passes bytes both ways until one side is done. Returns what the client got.
pub(super) async fn tunnel(request: Request<Incoming>, mut server: TcpStream) -> u64 {
    let Ok(client) = hyper::upgrade::on(request).await else { return 0 };
    let mut client = TokioIo::new(client);
    copy_bidirectional(&mut client, &mut server).await.map_or(0, |(_, down)| down)
}

/// Sends one request on, as the server itself would be asked.
pub(super) async fn forward(
    mut request: Request<Incoming>,
    server: TcpStream,
) -> Result<Response<Body>, Failure> {
    let failed = |error: hyper::Error| Failure::Connection(error.to_string());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Some(host) = request.uri().authority().and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    for name in &OF_ONE_HOP {
        request.headers_mut().remove(name);
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(server)).await.map_err(failed)?;
    tokio::spawn(connection);
    let mut response = sender.send_request(request).await.map_err(failed)?.map(Body::new);
    response.headers_mut().remove(header::CONNECTION);
    response.headers_mut().insert(header::VIA, header::HeaderValue::from_static("1.1 squid (squid/3.5.27)"));
    Ok(response)
}
