//! A line for every request, as either original writes it: tutorials on mirroring look for it.

use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use super::Style;

/// The routes with a log on standard output.
pub(super) fn logged(routes: Router, style: Style) -> Router {
    routes.layer(from_fn(move |request: Request, next: Next| log(style, request, next)))
}

async fn log(style: Style, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let headers = request.headers().clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let response = next.run(request).await;
    let size = http_body::Body::size_hint(response.body()).exact();
    let line = Line {
        method: method.as_str(),
        path: &path,
        status: response.status().as_u16(),
        size: size.unwrap_or(0),
        milliseconds: began.elapsed().as_secs_f64() * 1000.0,
        agent: text(&headers, "user-agent"),
        client: text(&headers, "x-forwarded-for").split(',').next().unwrap_or_default().trim(),
    };
    println!("{}", line.in_style(style, jiff::Timestamp::now()));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

struct Line<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
    size: u64,
    milliseconds: f64,
    agent: &'a str,
    client: &'a str,
}

impl Line<'_> {
    fn in_style(&self, style: Style, now: jiff::Timestamp) -> String {
        let client = if self.client.is_empty() { "127.0.0.1" } else { self.client };
        let Self { method, path, status, size, milliseconds, agent, .. } = self;
        match style {
            Style::Lists => format!(
                "time=\"{}\" level=INFO msg=\"{status} {method} {path} {milliseconds:.1}ms\" status={status} method={method} \
                 uri={path} size_bytes={size} duration_ms={milliseconds:.2} user_agent={agent} client_ip={client}",
                now.strftime("%Y-%m-%dT%H:%M:%S%.4f")
            ),
            Style::Flat => format!(
                "{client} - - [{}] \"{method} {path} HTTP/1.1\" {status} {size} \"-\" \"{agent}\"",
                now.strftime("%d/%b/%Y:%H:%M:%S +0000")
            ),
        }
    }
}
