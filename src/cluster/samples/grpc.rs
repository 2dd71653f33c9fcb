//! gRPC as the samples serve it: one message in, one message or a status out.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use prost::Message;

/// gRPC's code for an error without a code of its own.
pub(super) const UNKNOWN: u32 = 2;
/// gRPC's code for a question that cannot be read.
pub(super) const INVALID_ARGUMENT: u32 = 3;

/// The message of a unary call; `None` where there is none that can be read.
pub(super) fn asked<M: Message + Default>(body: &[u8]) -> Option<M> {
    let (head, rest) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    M::decode((head[0] == 0).then_some(rest)?.get(..usize::try_from(length).ok()?)?).ok()
}

/// One message in gRPC's frame: not compressed, its length, itself.
pub(super) fn frame(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), &encoded].concat().into()
}

/// The answer to a unary call.
pub(super) fn unary(message: &impl Message) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = http_body_util::BodyExt::with_trailers(
        http_body_util::Full::new(frame(message)),
        std::future::ready(Some(Ok(trailers))),
    );
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

/// An error instead of an answer.
pub(super) fn failed(code: u32, text: &str) -> Response {
    let printable = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'%';
    let text: String = text
        .bytes()
        .map(|byte| if printable(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let headers = [
        ("content-type", "application/grpc".to_owned()),
        ("grpc-status", code.to_string()),
        ("grpc-message", text),
    ];
    (headers, Body::empty()).into_response()
}
