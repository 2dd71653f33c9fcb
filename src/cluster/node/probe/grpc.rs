//! gRPC probes: `grpc.health.v1.Health/Check`, plaintext.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::ProbeFailure;

/// `HealthCheckResponse.status`.
const SERVING: u8 = 1;
/// A health answer has a few bytes; more is not one.
const MAX_ANSWER_BYTES: usize = 4096;

pub(super) async fn check(address: SocketAddr, service: &str) -> Result<(), ProbeFailure> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| ProbeFailure(format!("{what} {address}: {error}"));
    let stream = TcpStream::connect(address).await.map_err(|error| failed("dial tcp", &error))?;
    let (mut client, connection) =
        h2::client::handshake(stream).await.map_err(|error| failed("grpc", &error))?;
    let connection = tokio::spawn(connection);
    let answer = call(&mut client, address, service).await;
    connection.abort();
    match answer.map_err(|error| failed("grpc", &error))? {
        Answer::Serving => Ok(()),
        Answer::NotServing => {
            Err(ProbeFailure(format!("service unhealthy (responded with \"NOT_SERVING\") at {address}")))
        }
        Answer::Status(status) => {
            Err(ProbeFailure(format!("error: health rpc failed with status {status} at {address}")))
        }
    }
}

enum Answer {
    Serving,
    NotServing,
    Status(String),
}

async fn call(
    client: &mut h2::client::SendRequest<Bytes>,
    address: SocketAddr,
    service: &str,
) -> Result<Answer, h2::Error> {
    let uri = format!("http://{address}/grpc.health.v1.Health/Check");
    let request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|_| h2::Error::from(h2::Reason::INTERNAL_ERROR))?;
    let (answer, mut body) = client.send_request(request, false)?;
    body.send_data(message(service), true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut data = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        let _ = body.flow_control().release_capacity(part.len());
        if data.len() + part.len() <= MAX_ANSWER_BYTES {
            data.extend_from_slice(&part);
        }
    }
    let trailers = body.trailers().await?;
    let status = trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"))
        .or_else(|| head.headers.get("grpc-status"));
    match status.and_then(|status| status.to_str().ok()) {
        Some("0") if serving(&data) => Ok(Answer::Serving),
        Some("0") => Ok(Answer::NotServing),
        other => Ok(Answer::Status(other.unwrap_or("none").to_owned())),
    }
}

/// A `HealthCheckRequest` behind gRPC's five bytes: not compressed, length.
fn message(service: &str) -> Bytes {
    let service = &service.as_bytes()[..service.len().min(127)];
    let mut body = Vec::new();
    if let (false, Ok(length)) = (service.is_empty(), u8::try_from(service.len())) {
        // Field 1, length-delimited.
        body.extend_from_slice(&[0x0a, length]);
        body.extend_from_slice(service);
    }
    let mut frame = vec![0, 0, 0, 0, u8::try_from(body.len()).unwrap_or(0)];
    frame.extend(body);
    frame.into()
}

/// Field 1 (`status`) of the `HealthCheckResponse` behind gRPC's five bytes.
fn serving(data: &[u8]) -> bool {
    data.get(5..).is_some_and(|body| body.starts_with(&[0x08, SERVING]))
}
