//! Listeners: one for each port, with TLS where the port is among those.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::super::SampleError;
use super::super::serve::{environment, host_name, listen, listen_at, serve, stopped};
use super::super::tls::acceptor;
use super::counters::Counters;
use super::fields::Identity;
use super::flags::Settings;
use super::{grpc, http, log, tcp};

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Grpc,
    Tcp,
}

/// What serves one port.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) protocol: Protocol,
    pub(super) identity: Identity,
    pub(super) server_first: bool,
    pub(super) counters: Arc<Counters>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Protocol that was agreed on by TLS; empty without.
    pub(super) alpn: String,
}

/// Opens all ports, then serves them until the process is asked to stop.
pub(super) async fn run(settings: Settings) -> Result<(), SampleError> {
    let stopped = stopped();
    let counters = Arc::new(Counters::default());
    let mut open = Vec::new();
    let protocols =
        [(Protocol::Http, &settings.http), (Protocol::Grpc, &settings.grpc), (Protocol::Tcp, &settings.tcp)];
    for (protocol, ports) in protocols {
        for port in ports {
            let acceptor = if settings.tls.contains(port) { Some(tls(&settings, protocol)?) } else { None };
            let listener = bind(&settings, *port).await?;
            let name = match (protocol, acceptor.is_some()) {
                (Protocol::Http, false) => "HTTP/1.1",
                (Protocol::Http, true) => "HTTPS/1.1",
                (Protocol::Grpc, false) => "GRPC",
                (Protocol::Grpc, true) => "GRPC (over TLS)",
                (Protocol::Tcp, false) => "TCP",
                (Protocol::Tcp, true) => "TCP (over TLS)",
            };
            log(&format!("Listening {name} on {port}"));
            open.push((listener, Arc::new(instance(&settings, *port, protocol, &counters)), acceptor));
        }
    }
    for (listener, instance, acceptor) in open {
        tokio::spawn(accept(listener, instance, acceptor));
    }
    if settings.metrics == 0 {
        stopped.await;
        return Ok(());
    }
    let text = move || async move { counters.text() };
    serve(settings.metrics, Router::new().route("/metrics", get(text))).await
}

pub(super) fn instance(
    settings: &Settings,
    port: u16,
    protocol: Protocol,
    counters: &Arc<Counters>,
) -> Instance {
    let identity = Identity {
        port,
        version: settings.version.clone(),
        cluster: settings.cluster.clone(),
        istio_version: settings.istio_version.clone(),
        host_name: host_name(),
    };
    let server_first = settings.server_first.contains(&port);
    Instance { protocol, identity, server_first, counters: counters.clone() }
}

async fn bind(settings: &Settings, port: u16) -> Result<TcpListener, SampleError> {
    if settings.bind_localhost.contains(&port) {
        return listen_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    }
    if !settings.bind_ip.contains(&port) {
        return listen(port).await;
    }
    let address = environment("INSTANCE_IP", "");
    let problem = || format!("--bind-ip: INSTANCE_IP {address:?} in the environment is no address");
    let address =
        address.parse().map_err(|_| SampleError::Argument { applet: "echo", problem: problem() })?;
    listen_at(SocketAddr::new(address, port)).await
}

fn tls(settings: &Settings, protocol: Protocol) -> Result<TlsAcceptor, SampleError> {
    let protocols: &[&str] = match protocol {
        _ if settings.disable_alpn => &[],
        Protocol::Http => &["h2", "http/1.1", "http/1.0"],
        Protocol::Grpc => &["h2"],
        Protocol::Tcp => &[],
    };
    let made = acceptor(&settings.certificate, &settings.key, protocols);
    made.map_err(|problem| SampleError::Argument {
        applet: "echo",
        problem: format!("--crt and --key: {problem}"),
    })
}

/// Serves whoever connects.
pub(super) async fn accept(listener: TcpListener, instance: Arc<Instance>, acceptor: Option<TlsAcceptor>) {
    loop {
        if let Ok((stream, address)) = listener.accept().await {
            tokio::spawn(connection(stream, address.ip().to_canonical(), instance.clone(), acceptor.clone()));
        }
    }
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    instance: Arc<Instance>,
    acceptor: Option<TlsAcceptor>,
) {
    let _slower_but_works = stream.set_nodelay(true);
    let mut peer = Peer { address, alpn: String::new() };
    let Some(acceptor) = acceptor else { return exchange(stream, peer, instance).await };
    match acceptor.accept(stream).await {
        Ok(stream) => {
            let agreed = stream.get_ref().1.alpn_protocol().unwrap_or_default();
            peer.alpn = String::from_utf8_lossy(agreed).into_owned();
            exchange(stream, peer, instance).await;
        }
        Err(error) => log(&format!("TLS handshake error from {address}: {error}")),
    }
}

async fn exchange<S>(stream: S, peer: Peer, instance: Arc<Instance>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let routes = match instance.protocol {
        Protocol::Tcp => return tcp::echo(stream, &peer, &instance).await,
        Protocol::Http => http::routes(instance),
        Protocol::Grpc => grpc::routes(instance),
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let answer = routes.clone().oneshot(request.map(Body::new));
        async move { answer.await as Result<Response<Body>, std::convert::Infallible> }
    });
    let connection = auto::Builder::new(TokioExecutor::new());
    // However it ends, it is over.
    let _ended = connection.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
