//! Texts to and from base64.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// `/base64/VALUE` and `/base64/decode/VALUE`: in either alphabet, padded or not. What follows the padding is left out, as by Python's httpbin: a
/// rewritten prefix leaves the rest of the path there.
pub(super) async fn decode(Path(value): Path<String>) -> Response {
    let bare = value.split('=').next().unwrap_or_default();
    match STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)) {
        Ok(text) => text.into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, format!("decode failed: {problem}\n")).into_response(),
    }
}

/// `/base64/encode/VALUE`.
pub(super) async fn encode(Path(value): Path<String>) -> String {
    URL_SAFE.encode(value)
}
