//! What clients send and what they accept.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::protobuf;
use crate::apiserver::error::ApiError;

/// Most bytes of a request body, as in Kubernetes.
pub(super) const BODY_LIMIT: usize = 3 << 20;

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

/// Reads a whole body.
pub(super) async fn read(request: Request<Incoming>) -> Result<Vec<u8>, ApiError> {
    let (_, body) = request.into_parts();
    let body = Limited::new(Body::new(body), BODY_LIMIT);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::too_large(BODY_LIMIT)),
        Err(error) => Err(ApiError::bad_request(format!("cannot read the request: {error}"))),
    }
}

/// The media type of a request, without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let text =
        headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    text.split(';').next().unwrap_or("").trim().to_owned()
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
            serde_json::from_slice(bytes)
                .or_else(|_| serde_yaml::from_slice(bytes))
                .map_err(|error| broken(&error))
        }
        "application/vnd.kubernetes.protobuf" => protobuf::decode(bytes).map_err(ApiError::bad_request),
        "application/cbor" => Err(ApiError::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
        _ => serde_json::from_slice(bytes).map_err(|error| broken(&error)),
    }
}
