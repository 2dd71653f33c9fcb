//! `fortio server`: an echo over HTTP on 8080, and over gRPC pings and the health service on 8079.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http_body_util::BodyExt;
use prost::Message;

use super::super::SampleError;
use super::super::grpc::frame;
use super::super::serve::{listen, serve, stopped};
use super::arguments::Options;
use super::grpc::{HEALTH, HealthCheckResponse, PING, PingMessage, SERVING, WATCH};

/// Most bytes of a message, and the longest delay that one may ask for.
const MOST_BYTES: usize = 4 << 20;
const LONGEST_DELAY: Duration = Duration::from_secs(10);

pub(super) async fn run(options: &Options) -> Result<(), SampleError> {
    let grpc = listen(options.grpc_port).await?;
    let routes = Router::new().route(PING, post(ping)).merge(health_service());
    let by_grpc =
        tokio::spawn(async move { axum::serve(grpc, routes).with_graceful_shutdown(stopped()).await });
    println!(
        "Fortio {} grpc 'ping' server listening on tcp [::]:{}",
        env!("CARGO_PKG_VERSION"),
        options.grpc_port
    );
    println!(
        "Fortio {} http-echo server listening on tcp [::]:{}",
        env!("CARGO_PKG_VERSION"),
        options.http_port
    );
    let routes =
        Router::new().route("/debug", any(debug)).route("/", get(|| async { "fortio\n" })).fallback(echo);
    serve(options.http_port, routes).await?;
    by_grpc.abort();
    Ok(())
}

/// The health service of gRPC, which is always well.
pub(in super::super) fn health_service<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route(HEALTH, post(health)).route(WATCH, post(watch))
}

/// The body comes back; `?status=`, `?delay=` (seconds, or `100ms`) and `?size=` ask for something else.
async fn echo(Query(pairs): Query<Vec<(String, String)>>, body: Bytes) -> Response {
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if let Some(delay) = value("delay").and_then(delay) {
        tokio::time::sleep(delay.min(LONGEST_DELAY)).await;
    }
    let status =
        value("status").and_then(|text| text.parse().ok()).and_then(|code| StatusCode::from_u16(code).ok());
    let size = value("size").and_then(|text| text.parse::<usize>().ok());
    let body = size.map_or(body, |size| Bytes::from(vec![b'x'; size.min(MOST_BYTES)]));
    (status.unwrap_or(StatusCode::OK), body).into_response()
}

fn delay(text: &str) -> Option<Duration> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

async fn debug(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MOST_BYTES).await.unwrap_or_default();
    let mut text = format!("{} {} {:?}\n\nheaders:\n\n", parts.method, parts.uri, parts.version);
    for (name, value) in &parts.headers {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text + &format!("\nbody:\n\n{}\n", String::from_utf8_lossy(&body))
}

async fn ping(body: Bytes) -> Response {
    let Some(Ok(message)) = body.get(5..).map(PingMessage::decode) else { return answer(None, "13") };
    let delay = Duration::from_nanos(u64::try_from(message.delay_nanos).unwrap_or_default());
    tokio::time::sleep(delay.min(LONGEST_DELAY)).await;
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
    answer(Some(frame(&PingMessage { ts: now, ..message })), "0")
}

async fn health() -> Response {
    answer(Some(frame(&HealthCheckResponse { status: SERVING })), "0")
}

/// The status now, and then nothing until the caller or the server leaves: it never changes.
async fn watch() -> Response {
    let first = futures::stream::once(async {
        Ok::<_, std::io::Error>(frame(&HealthCheckResponse { status: SERVING }))
    });
    let rest = futures::stream::once(async {
        stopped().await;
        Err(std::io::Error::other("the server stops"))
    });
    let mut response = Body::from_stream(futures::StreamExt::chain(first, rest)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn answer(message: Option<Bytes>, status: &'static str) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = http_body_util::Full::new(message.unwrap_or_default());
    let mut response = Body::new(body.with_trailers(async move { Some(Ok(trailers)) })).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
