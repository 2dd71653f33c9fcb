//! `nginx`, as Istio's tutorials on TLS use it: servers by port and name, with certificates, certificates of clients, answers that are
//! written in the configuration and files. It reads `/etc/nginx/nginx.conf`, or serves a page on port 80 where that is not mounted.

mod answer;
mod config;
mod tls;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::SampleError;
use super::serve::{is_mounted, listen, stopped};
use config::{Config, Listener};

const FOLDER: &str = "/etc/nginx";
const FILE: &str = "/etc/nginx/nginx.conf";
/// Files that the image's own configuration includes.
const PARTS: &str = "/etc/nginx/conf.d";

/// Runs until it is stopped. `-c FILE` names another configuration, `-g 'daemon off;'` is how it runs anyway.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let named = arguments.windows(2).find(|pair| pair[0] == "-c").map(|pair| pair[1].as_str());
    let problem = |problem: String| SampleError::Argument { applet: "nginx", problem };
    let file = named.unwrap_or(FILE);
    let text = if named.is_some() || is_mounted(FOLDER, FILE) {
        std::fs::read_to_string(file).map_err(|error| problem(format!("{file}: {error}")))?
    } else if is_mounted(FOLDER, PARTS) {
        config::of_parts(PARTS).map_err(problem)?
    } else {
        config::DEFAULT.to_owned()
    };
    let config = Config::parse(&text).map_err(|wrong| problem(format!("{file}: {wrong}")))?;
    let mut listeners = Vec::new();
    for listener in config.listeners() {
        let acceptor = if listener.tls { Some(tls::acceptor(&listener).map_err(problem)?) } else { None };
        listeners.push((listen(listener.port).await?, Arc::new(listener), acceptor));
    }
    for (socket, listener, acceptor) in listeners {
        tokio::spawn(accept(socket, listener, acceptor));
    }
    stopped().await;
    Ok(())
}

async fn accept(socket: TcpListener, listener: Arc<Listener>, acceptor: Option<tokio_rustls::TlsAcceptor>) {
    loop {
        if let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(connection(stream, listener.clone(), acceptor.clone()));
        }
    }
}

async fn connection(stream: TcpStream, listener: Arc<Listener>, acceptor: Option<tokio_rustls::TlsAcceptor>) {
    let peer = stream.peer_addr().map(|address| address.ip().to_canonical().to_string()).unwrap_or_default();
    match acceptor {
        None => requests(stream, listener, peer, false).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let certified = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
                requests(stream, listener, peer, certified).await;
            }
            Err(error) => println!("[info] SSL_do_handshake() failed ({error}), client: {peer}"),
        },
    }
}

async fn requests<S>(stream: S, listener: Arc<Listener>, peer: String, certified: bool)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer::to(&request, &listener, certified);
        log(&peer, &request, &response);
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    // However it ends, it is over.
    let _ended =
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// nginx's format `main`.
fn log(peer: &str, request: &Request<Incoming>, response: &Response<Body>) {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned()
    };
    let size = response.headers().get("content-length").and_then(|value| value.to_str().ok()).unwrap_or("0");
    println!(
        "{peer} - - [{}] \"{} {} {:?}\" {} {size} \"{}\" \"{}\" \"{}\"",
        jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000"),
        request.method(),
        request.uri().path_and_query().map_or("/", |path| path.as_str()),
        request.version(),
        response.status().as_u16(),
        header("referer"),
        header("user-agent"),
        header("x-forwarded-for"),
    );
}
