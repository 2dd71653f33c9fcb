//! What clients send and what they accept.

use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::protobuf;
use crate::apiserver::error::ApiError;

/// Most bytes of a request body, as in Kubernetes.
pub(super) const BODY_LIMIT: usize = 3 << 20;
/// Most bytes that are read beyond it.
const DROP_LIMIT: usize = 64 << 20;
/// Deepest nesting of a YAML document in flow style: reading it takes time that grows with the square of this.
const YAML_NESTING: usize = 1000;

/// The form in which a client wants objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Object,
    Table,
    PartialMetadata,
}

/// The `Accept` header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accept {
    pub(crate) form: Form,
    pub(crate) aggregated_discovery: bool,
}

impl Accept {
    /// Everything is answered in JSON; a client that takes nothing else is told so.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = headers.get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or("");
        let mut accept = Self::default();
        let mut json = text.trim().is_empty();
        for part in text.split(',') {
            let mut parameters = part.split(';').map(str::trim);
            let media = parameters.next().unwrap_or("");
            let parameters: Vec<&str> = parameters.collect();
            json |= matches!(
                media,
                "application/json" | "*/*" | "application/*" | "application/yaml" | "text/plain" | "text/*"
            );
            if media != "application/json" {
                continue;
            }
            if parameters.contains(&"as=APIGroupDiscoveryList") && parameters.contains(&"v=v2") {
                accept.aggregated_discovery = true;
            }
            if accept.form == Form::Object && parameters.contains(&"as=Table") && parameters.contains(&"v=v1")
            {
                accept.form = Form::Table;
            }
            let partial = ["as=PartialObjectMetadata", "as=PartialObjectMetadataList"];
            if accept.form == Form::Object && partial.iter().any(|one| parameters.contains(one)) {
                accept.form = Form::PartialMetadata;
            }
        }
        // Metadata-only clients ask for protobuf first and JSON second with the same parameters.
        if !json && !text.contains("openapi") {
            let message = "only the following media types are accepted: application/json";
            return Err(ApiError::new(406, "NotAcceptable", message));
        }
        Ok(accept)
    }
}

/// Reads a whole body. What is too long is read on for a while and dropped: a client that still writes would not see the answer.
pub(super) async fn read(request: Request<Incoming>) -> Result<Vec<u8>, ApiError> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    let mut dropped = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ApiError::bad_request(format!("cannot read the request: {error}")))?;
        let Some(piece) = frame.data_ref() else { continue };
        if dropped == 0 && bytes.len() + piece.len() <= BODY_LIMIT {
            bytes.extend_from_slice(piece);
            continue;
        }
        bytes = Vec::new();
        dropped += piece.len();
        if dropped > DROP_LIMIT {
            break;
        }
    }
    if dropped > 0 { Err(ApiError::too_large(BODY_LIMIT)) } else { Ok(bytes) }
}

/// The media type of a request, without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let text =
        headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    text.split(';').next().unwrap_or("").trim().to_owned()
}

/// At least as deep as the brackets of a document are nested; those in texts count too.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in bytes {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// An object in JSON or YAML; `Null` for an empty body.
pub(super) fn decode(content_type: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let broken = |error: &dyn std::fmt::Display| {
        ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    };
    match content_type {
        "application/yaml" | "application/apply-patch+yaml" => {
            // JSON is the common case, and much faster to read.
            match serde_json::from_slice(bytes) {
                Ok(object) => Ok(object),
                Err(_) if nesting(bytes) > YAML_NESTING => Err(broken(&"the document is nested too deeply")),
                Err(_) => serde_yaml::from_slice(bytes).map_err(|error| broken(&error)),
            }
        }
        "application/vnd.kubernetes.protobuf" => protobuf::decode(bytes).map_err(ApiError::bad_request),
        "application/cbor" => Err(ApiError::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
        _ => serde_json::from_slice(bytes).map_err(|error| broken(&error)),
    }
}
