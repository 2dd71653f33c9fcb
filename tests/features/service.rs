//! A service that speaks HTTP/1.1 and HTTP/2 in the clear, remembers what it was asked, and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::wait;

/// What a service was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Answer = dyn Fn(&Asked) -> Response + Send + Sync;

/// A running service; it ends with the process.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Vec<Asked>>>, Arc<Answer>);

impl Service {
    /// Starts it on a port of its own.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        socket.set_nonblocking(true).expect("nonblocking");
        let address = socket.local_addr().expect("address");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let shared = Shared(asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async move {
                let socket = tokio::net::TcpListener::from_std(socket).expect("socket");
                let router = axum::Router::new().fallback(serve).with_state(shared);
                axum::serve(socket, router).await.expect("serve");
            });
        });
        Self { address, asked }
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("asked").clone()
    }

    /// Waits until `read` finds what it looks for in what was asked.
    pub(crate) fn wait<T>(&self, read: impl Fn(&[Asked]) -> Option<T>) -> T {
        wait::until(|| read(&self.asked())).unwrap_or_else(|| panic!("not found in {:?}", self.asked()))
    }
}

impl Asked {
    /// The text of a header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The message of a unary gRPC call.
    pub(crate) fn message<M: prost::Message + Default>(&self) -> M {
        M::decode(self.body.get(5..).unwrap_or_default()).expect("a message")
    }
}

async fn serve(State(Shared(asked, answer)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 22).await.unwrap_or_default();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
    let host = parts.uri.authority().map(ToString::to_string).or(host.map(str::to_owned)).unwrap_or_default();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let seen = Asked { method: parts.method.to_string(), path, host, headers: parts.headers, body };
    let response = answer(&seen);
    asked.lock().expect("asked").push(seen);
    response
}

/// An answer of a status, headers and a body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).expect("a response")
}

/// A unary gRPC answer.
pub(crate) fn grpc_answer(message: &impl prost::Message) -> Response {
    use http_body_util::BodyExt;
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).expect("short").to_be_bytes();
    let frame = [&[0], length.as_slice(), &encoded].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    let body = http_body_util::Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(Body::new(body)).expect("a response")
}
