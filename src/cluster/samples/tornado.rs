//! `tornado-websocket-example`: a page whose table is filled over a WebSocket. `/api?id=ID&value=VALUE` tells every open socket.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::SampleError;
use super::serve::{port, serve};

/// A slow socket misses what is older.
const REMEMBERED: usize = 64;

const PAGE: &str = "<!DOCTYPE html><html lang=\"en\"><head><title>tornado WebSocket example</title></head><body>\
<h1>tornado WebSocket example</h1><p>WebSocket status: <span id=\"message\"></span></p>\
<table><thead><tr><th>id</th><th>value</th></tr></thead><tbody id=\"rows\"></tbody></table><script>\
const message = document.getElementById('message'), rows = document.getElementById('rows');\
const socket = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/ws');\
socket.onopen = () => { message.textContent = 'open'; };\
socket.onclose = () => { message.textContent = 'closed'; };\
socket.onmessage = (event) => { const told = JSON.parse(event.data); const row = rows.insertRow(0);\
row.insertCell().textContent = told.id; row.insertCell().textContent = told.value; };\
</script></body></html>";

type Sockets = broadcast::Sender<String>;

pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let (sockets, _) = broadcast::channel(REMEMBERED);
    let routes = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/ws", get(open))
        .route("/api", get(tell).post(tell))
        .with_state(sockets);
    serve(port("tornado", arguments, 8888)?, routes).await
}

async fn tell(State(sockets): State<Sockets>, Query(pairs): Query<Vec<(String, String)>>) -> StatusCode {
    let value =
        |name: &str| pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let message = serde_json::json!({"id": value("id"), "value": value("value")}).to_string();
    // Without sockets nobody is told.
    let _nobody = sockets.send(message);
    StatusCode::OK
}

/// The handshake of RFC 6455, then messages as they come.
async fn open(State(sockets): State<Sockets>, mut request: Request) -> Response {
    let Some(accept) = accept(request.headers()) else {
        return (StatusCode::BAD_REQUEST, "Can \"Upgrade\" only to \"WebSocket\".").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let mut messages = sockets.subscribe();
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        loop {
            tokio::select! {
                told = messages.recv() => match told {
                    Ok(text) => if socket.send(Message::text(text)).await.is_err() { return },
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                // What clients say is not looked at; pings are answered below, and the end is the end.
                said = socket.next() => if !matches!(said, Some(Ok(_))) { return },
            }
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// The proof that a handshake was read; none where the request is no handshake.
pub(super) fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let key = text(header::SEC_WEBSOCKET_KEY);
    if !text(header::UPGRADE).eq_ignore_ascii_case("websocket") || key.is_empty() {
        return None;
    }
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes());
    HeaderValue::from_str(&STANDARD.encode(digest)).ok()
}
