//! The page and its modules, embedded in the binary.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, media type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    ("api.js", JAVASCRIPT, include_str!("../assets/api.js")),
    ("draw.js", JAVASCRIPT, include_str!("../assets/draw.js")),
    ("format.js", JAVASCRIPT, include_str!("../assets/format.js")),
    ("layout.js", JAVASCRIPT, include_str!("../assets/layout.js")),
    ("main.js", JAVASCRIPT, include_str!("../assets/main.js")),
    ("metrics.js", JAVASCRIPT, include_str!("../assets/metrics.js")),
    ("namespaces.js", JAVASCRIPT, include_str!("../assets/namespaces.js")),
    ("pages.css", "text/css; charset=utf-8", include_str!("../assets/pages.css")),
    ("pages.js", JAVASCRIPT, include_str!("../assets/pages.js")),
    ("panel.js", JAVASCRIPT, include_str!("../assets/panel.js")),
    ("sagene.svg", "image/svg+xml", include_str!("../assets/sagene.svg")),
    ("state.js", JAVASCRIPT, include_str!("../assets/state.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
    ("traces.js", JAVASCRIPT, include_str!("../assets/traces.js")),
    ("view.js", JAVASCRIPT, include_str!("../assets/view.js")),
];

/// Only what the console itself serves may load or be asked; nobody may frame it.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

pub(super) async fn index() -> Response {
    page(HTML, include_str!("../assets/index.html"))
}

pub(super) async fn metrics() -> Response {
    page(HTML, include_str!("../assets/metrics.html"))
}

pub(super) async fn namespaces() -> Response {
    page(HTML, include_str!("../assets/namespaces.html"))
}

pub(crate) async fn traces() -> Response {
    page(HTML, include_str!("../assets/traces.html"))
}

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, _, _)| *known == name) {
        Some((_, media_type, content)) => page(media_type, content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page(media_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}
