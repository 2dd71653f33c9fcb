//! `go-httpbin` and its older sister `httpbin`: a server that tells its client what it was asked.
//!
//! The two differ in one thing: go-httpbin writes every header and parameter as a list, httpbin (`--flat`) as one string.

mod base64;
mod echo;
mod log;
mod pretty;
mod respond;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};

use super::SampleError;
use super::serve::{port, serve};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `["a", "b"]`
    Lists,
    /// `"a,b"`
    Flat,
}

pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let style =
        if arguments.iter().any(|argument| argument == "--flat") { Style::Flat } else { Style::Lists };
    serve(port("httpbin", arguments, 8080)?, log::logged(routes(style), style)).await
}

/// `gunicorn --access-logfile - -b 0.0.0.0:80 httpbin:app`, the command line of the older image.
pub(super) async fn run_by_gunicorn(arguments: &[String]) -> Result<(), SampleError> {
    let bind = arguments.windows(2).find(|pair| matches!(pair[0].as_str(), "-b" | "--bind"));
    let text = bind.and_then(|pair| pair[1].rsplit(':').next()).unwrap_or("8000");
    let port = port("gunicorn", &[text.to_owned()], 8000)?;
    let logs = arguments.iter().any(|argument| argument.starts_with("--access-logfile"));
    let routes = routes(Style::Flat);
    serve(port, if logs { log::logged(routes, Style::Flat) } else { routes }).await
}

fn routes(style: Style) -> Router {
    Router::new()
        .route("/", get(respond::index))
        .route("/get", get(echo::without_body))
        .route("/anything", any(echo::anything))
        .route("/anything/{*rest}", any(echo::anything))
        .route("/post", axum::routing::post(echo::with_body))
        .route("/put", axum::routing::put(echo::with_body))
        .route("/patch", axum::routing::patch(echo::with_body))
        .route("/delete", axum::routing::delete(echo::with_body))
        .route("/headers", get(echo::headers))
        .route("/ip", get(echo::ip))
        .route("/user-agent", get(echo::user_agent))
        .route("/cookies", get(echo::cookies))
        .route("/hostname", get(respond::hostname))
        .route("/status/{codes}", any(respond::status))
        .route("/delay/{seconds}", any(respond::delay))
        .route("/base64/{value}", get(base64::decode))
        .route("/base64/decode/{value}", get(base64::decode))
        .route("/base64/encode/{value}", get(base64::encode))
        .route("/bytes/{count}", get(respond::bytes))
        .route("/stream/{count}", get(respond::stream))
        .route("/redirect/{count}", get(respond::redirect))
        .route("/redirect-to", get(respond::redirect_to))
        .route("/response-headers", get(respond::response_headers))
        .route("/basic-auth/{user}/{password}", get(respond::basic_auth))
        .route("/bearer", get(respond::bearer))
        .route("/html", get(respond::html))
        .route("/json", get(respond::json))
        .route("/robots.txt", get(respond::robots))
        .route("/cookies/set", get(respond::set_cookies))
        .with_state(Arc::new(style))
}

#[cfg(test)]
mod tests;
