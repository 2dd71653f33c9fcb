//! The standard gRPC health check, one call.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use prost::Message;
use tokio::net::TcpStream;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
/// One byte of compression flag and four of length before each message.
const FRAME_HEADER_BYTES: usize = 5;
/// Largest answer taken.
const ANSWER_BYTES: usize = 4096;

/// Whether the service says that it serves; any failure means no.
pub(super) async fn is_serving(stream: TcpStream, service: &str) -> bool {
    match check(stream, service).await {
        Ok(answer) => answer.is_some_and(|answer| answer.status == SERVING),
        Err(error) => {
            tracing::debug!(%error, "gRPC health check failed");
            false
        }
    }
}

async fn check(stream: TcpStream, service: &str) -> Result<Option<HealthCheckResponse>, h2::Error> {
    let authority = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let (sender, connection) = h2::client::handshake(stream).await?;
    sagene_base::task::spawn("gRPC probe connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "gRPC probe connection ended");
        }
    });
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    let Ok(uri) = format!("http://{authority}/grpc.health.v1.Health/Check").parse() else {
        return Ok(None);
    };
    *request.uri_mut() = uri;
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let (answer, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(frame(service), true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        received.extend_from_slice(&data);
        if received.len() > ANSWER_BYTES {
            return Ok(None);
        }
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(if is_ok(&head.headers, &trailers) { parse(&received) } else { None })
}

fn frame(service: &str) -> Bytes {
    let message = HealthCheckRequest { service: service.to_owned() };
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or_default());
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

/// A failure without a message carries its status in the headers instead of the trailers.
fn is_ok(headers: &HeaderMap, trailers: &HeaderMap) -> bool {
    let status = trailers.get("grpc-status").or_else(|| headers.get("grpc-status"));
    status.is_some_and(|status| status == "0")
}

fn parse(received: &[u8]) -> Option<HealthCheckResponse> {
    HealthCheckResponse::decode(received.get(FRAME_HEADER_BYTES..)?).ok()
}
