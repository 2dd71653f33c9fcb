//! `proto.EchoTestService`, and the health service.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use prost::Message;

use super::super::fortio::health_service;
use super::super::grpc::{INVALID_ARGUMENT, UNKNOWN, asked, failed, unary};
use super::fields::Fields;
use super::forward;
use super::log;
use super::server::{Instance, Peer};

pub(super) const ECHO: &str = "/proto.EchoTestService/Echo";
const FORWARD_ECHO: &str = "/proto.EchoTestService/ForwardEcho";

/// `proto.EchoRequest` and `proto.EchoResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Echo {
    #[prost(string, tag = "1")]
    pub(super) message: String,
}

/// `proto.Header`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `proto.ForwardEchoRequest`, as far as it is served.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ForwardEchoRequest {
    #[prost(int32, tag = "1")]
    pub(super) count: i32,
    #[prost(int32, tag = "2")]
    pub(super) qps: i32,
    #[prost(int64, tag = "3")]
    pub(super) timeout_micros: i64,
    #[prost(string, tag = "4")]
    pub(super) url: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) headers: Vec<Header>,
    #[prost(string, tag = "6")]
    pub(super) message: String,
    #[prost(bool, tag = "7")]
    pub(super) http2: bool,
    #[prost(bool, tag = "8")]
    pub(super) server_first: bool,
    #[prost(string, tag = "9")]
    pub(super) method: String,
    #[prost(bool, tag = "14")]
    pub(super) follow_redirects: bool,
    #[prost(string, tag = "16")]
    pub(super) cert_file: String,
    #[prost(string, tag = "17")]
    pub(super) key_file: String,
    #[prost(string, tag = "18")]
    pub(super) ca_cert_file: String,
    #[prost(bool, tag = "19")]
    pub(super) insecure_skip_verify: bool,
    #[prost(string, tag = "20")]
    pub(super) server_name: String,
    #[prost(bool, tag = "22")]
    pub(super) new_connection_per_request: bool,
}

/// `proto.ForwardEchoResponse`.
#[derive(Clone, PartialEq, Message)]
struct ForwardEchoResponse {
    #[prost(string, repeated, tag = "1")]
    output: Vec<String>,
}

/// The services of a port.
pub(super) fn routes(instance: Arc<Instance>) -> Router {
    Router::new()
        .route(ECHO, post(echo))
        .route(FORWARD_ECHO, post(forward_echo))
        .merge(health_service())
        .with_state(instance)
}

async fn echo(
    State(instance): State<Arc<Instance>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let identity = &instance.identity;
    instance.counters.count("grpc", identity.port);
    let Some(request) = asked::<Echo>(&body) else {
        return failed(INVALID_ARGUMENT, "want one proto.EchoRequest");
    };
    log(&format!("GRPC Request\tmessage={:?}", request.message));
    let mut fields = Fields::default();
    for (name, value) in headers.iter().filter(|(name, _)| !name.as_str().ends_with("-bin")) {
        fields.header(name.as_str(), value.as_bytes());
    }
    if let Some(authority) = uri.authority() {
        fields.put("Host", authority).header(":authority", authority.as_str().as_bytes());
    }
    fields
        .instance(identity, peer.address, "GRPC")
        .put("Echo", &request.message)
        .put("Hostname", &identity.host_name);
    unary(&Echo { message: fields.into_text() })
}

async fn forward_echo(body: Bytes) -> Response {
    let Some(request) = asked::<ForwardEchoRequest>(&body) else {
        return failed(INVALID_ARGUMENT, "want one proto.ForwardEchoRequest");
    };
    log(&format!("ForwardEcho request\turl={}", request.url));
    match forward::run(&request).await {
        Ok(output) => unary(&ForwardEchoResponse { output }),
        Err(problem) => failed(UNKNOWN, &problem),
    }
}
