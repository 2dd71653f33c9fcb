//! JSON as both programs write it: indented by two, a line break at the end.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A body of JSON.
pub(super) struct Json(pub(super) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], format!("{:#}\n", self.0))
            .into_response()
    }
}
