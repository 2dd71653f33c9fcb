//! `squid`, the proxy outside of the mesh of Istio's page on external HTTPS proxies: tunnels by CONNECT and requests for other hosts, for whom
//! `http_access` of its configuration lets through. It reads `/etc/squid/squid.conf`, or uses rules like those that squid comes with where that is
//! not mounted. Nothing is cached.

mod answer;
mod config;
mod log;
mod upstream;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::SampleError;
use super::serve::{is_mounted, listen, stopped};
use config::{Asked, Config};
use log::{Entry, Log};

const FILE: &str = "/etc/squid/squid.conf";
/// Where a volume has to be for its file to count: what the machine has there is not the image's.
const FOLDER: &str = "/etc/squid";

/// What all connections share.
struct Proxy {
    config: Config,
    log: Log,
}

/// Runs until it is stopped. `-f FILE` names another configuration; `-N`, `-Y`, `-C` and `-d LEVEL` are how it runs anyway.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let problem = |problem: String| SampleError::Argument { applet: "squid", problem };
    let named = arguments.windows(2).find(|pair| pair[0] == "-f").map(|pair| pair[1].as_str());
    let file = named.unwrap_or(FILE);
    let text = if named.is_some() || is_mounted(FOLDER, FILE) {
        std::fs::read_to_string(file).map_err(|error| problem(format!("{file}: {error}")))?
    } else {
        config::DEFAULT.to_owned()
    };
    let config = Config::parse(&text).map_err(|wrong| problem(format!("{file}: {wrong}")))?;
    let mut sockets = Vec::new();
    for port in &config.ports {
        sockets.push(listen(*port).await?);
        println!("Accepting HTTP Socket connections at local=[::]:{port}");
    }
    let proxy = Arc::new(Proxy { config, log: Log::open() });
    for socket in sockets {
        tokio::spawn(accept(socket, proxy.clone()));
    }
    stopped().await;
    Ok(())
}

async fn accept(socket: TcpListener, proxy: Arc<Proxy>) {
    loop {
        if let Ok((stream, peer)) = socket.accept().await {
            tokio::spawn(connection(stream, peer, proxy.clone()));
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, proxy: Arc<Proxy>) {
    let client = peer.ip().to_canonical();
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(serve(&proxy, client, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // However it ends, it is over.
    let _ended = served.with_upgrades().await;
}

async fn serve(proxy: &Arc<Proxy>, client: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let entry = Entry {
        began: Instant::now(),
        client,
        method: request.method().to_string(),
        target: request.uri().to_string(),
    };
    let Some(asked) = Asked::of(&request, client) else {
        return refuse(proxy, &entry, "NONE", answer::invalid());
    };
    if !proxy.config.allows(&asked) {
        return refuse(proxy, &entry, "TCP_DENIED", answer::denied());
    }
    if asked.manager {
        return refuse(proxy, &entry, "NONE", answer::no_manager());
    }
    let (stream, address) = match upstream::connect(&asked.host, asked.port).await {
        Ok(connected) => connected,
        Err(failure) => return refuse(proxy, &entry, "NONE", failure.answer()),
    };
    if request.method() == Method::CONNECT {
        let proxy = proxy.clone();
        tokio::spawn(async move {
            let sent = upstream::tunnel(request, stream).await;
            proxy.log.tell(&entry, "TCP_TUNNEL", 200, sent, Some(address));
        });
        return Response::new(Body::empty());
    }
    match upstream::forward(request, stream).await {
        Ok(response) => {
            let length = response.headers().get("content-length");
            let length = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
            proxy.log.tell(&entry, "TCP_MISS", response.status().as_u16(), length, Some(address));
            response
        }
        Err(failure) => refuse(proxy, &entry, "NONE", failure.answer()),
    }
}

fn refuse(proxy: &Proxy, entry: &Entry, code: &str, (response, length): answer::Answer) -> Response<Body> {
    proxy.log.tell(entry, code, response.status().as_u16(), length, None);
    response
}
