//! Answers by HTTP and WebSocket. The query of a request may ask for more: `delay=2s`, `headers=name:value,…`, `codes=500:1,200:9` (codes
//! with their shares), `size=100` (that many characters more).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, request};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use sagene_api::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::tornado::accept;
use super::fields::{Fields, canonical};
use super::log;
use super::server::{Instance, Peer};

/// Most that `size` may ask for, in bytes.
const LARGEST: usize = 64 << 20;

type Pairs = Vec<(String, String)>;

/// Every path answers.
pub(super) fn routes(instance: Arc<Instance>) -> Router {
    Router::new().fallback(answer).with_state(instance)
}

async fn answer(
    State(instance): State<Arc<Instance>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    instance.counters.count("http", instance.identity.port);
    let version = version(request.version());
    log(&format!(
        "{version} Request\tremoteAddr={} method={} url={}",
        peer.address,
        request.method(),
        request.uri()
    ));
    if let Some(proof) = accept(request.headers()) {
        return upgrade(instance, peer, request, proof);
    }
    let pairs: Pairs = Query::try_from_uri(request.uri()).map(|Query(pairs)| pairs).unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
    let mut fields = Fields::default();
    if let Err(problem) = delay(value("delay")).await {
        fields.line(&format!("error delaying response error: {problem}"));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Err(problem) = add_headers(&mut headers, value("headers")) {
        fields.line(&format!("response headers error: {problem}"));
    }
    let status = code(value("codes")).unwrap_or_else(|problem| {
        fields.line(&format!("codes error: {problem}"));
        StatusCode::OK
    });
    describe(&mut fields, &instance, &peer, &request.into_parts().0);
    match value("size") {
        "" => {}
        size => match size.parse::<usize>().ok().filter(|size| *size <= LARGEST) {
            Some(size) => drop(fields.line(&"a".repeat(size))),
            None => drop(fields.line(&format!("size error: {size:?} is no number up to {LARGEST}"))),
        },
    }
    log(&format!("{version} Response\tcode={}", status.as_u16()));
    (status, headers, fields.into_text()).into_response()
}

fn describe(fields: &mut Fields, instance: &Instance, peer: &Peer, request: &request::Parts) {
    let identity = &instance.identity;
    let named = request.uri.authority().map(|authority| authority.as_str().to_owned());
    let host = named.or_else(|| {
        request.headers.get(header::HOST).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    fields
        .put("ServiceVersion", &identity.version)
        .put("ServicePort", identity.port)
        .put("Host", host.unwrap_or_default())
        .put("URL", request.uri.path_and_query().map_or("/", |path| path.as_str()))
        .put("Cluster", &identity.cluster)
        .put("IstioVersion", &identity.istio_version)
        .put("Method", &request.method)
        .put("Proto", version(request.version))
        .put("IP", peer.address)
        .put("Alpn", &peer.alpn);
    let mut headers: Vec<_> = request.headers.iter().filter(|(name, _)| **name != header::HOST).collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        fields.header(&canonical(name.as_str()), value.as_bytes());
    }
    fields.put("Hostname", &identity.host_name);
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

async fn delay(text: &str) -> Result<(), String> {
    if !text.is_empty() {
        let time: Duration =
            text.parse().map_err(|_| format!("{text:?} is no duration such as 10s or 250ms"))?;
        tokio::time::sleep(time.to_std()).await;
    }
    Ok(())
}

fn add_headers(headers: &mut HeaderMap, text: &str) -> Result<(), String> {
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let invalid = || format!("invalid {pair:?} (want name:value)");
        let (name, value) = pair.split_once(':').ok_or_else(invalid)?;
        let name = HeaderName::try_from(name).map_err(|_| invalid())?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| invalid())?);
    }
    Ok(())
}

/// One of the codes, by chance.
fn code(text: &str) -> Result<StatusCode, String> {
    if text.is_empty() {
        return Ok(StatusCode::OK);
    }
    let mut slices = Vec::new();
    for one in text.split(',') {
        let (code, share) = one.split_once(':').unwrap_or((one, "1"));
        let invalid = || format!("invalid {one:?} (want code or code:count)");
        let code = code.parse::<u16>().ok().filter(|code| (200..600).contains(code)).ok_or_else(invalid)?;
        let code = StatusCode::from_u16(code).map_err(|_| invalid())?;
        slices.push((code, share.parse::<u32>().map_err(|_| invalid())?));
    }
    let total: u64 = slices.iter().map(|(_, share)| u64::from(*share)).sum();
    let mut at = random() % total.max(1);
    for (code, share) in slices {
        match at.checked_sub(u64::from(share)) {
            None => return Ok(code),
            Some(rest) => at = rest,
        }
    }
    Err(format!("no code of {text:?} has a share"))
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without chance the first code it is.
    let _all_zero = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Answers the first message of a WebSocket, then closes it.
fn upgrade(instance: Arc<Instance>, peer: Peer, mut request: Request, proof: HeaderValue) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        let message = loop {
            match socket.next().await {
                Some(Ok(message)) if message.is_text() || message.is_binary() => break message,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        };
        let mut fields = Fields::default();
        describe(&mut fields, &instance, &peer, &parts);
        let said = String::from_utf8_lossy(&message.into_data()).into_owned();
        fields.line(&said).put("StatusCode", 200);
        // A client that left misses the answer.
        let _gone = socket.send(Message::text(fields.into_text())).await;
        let _gone = socket.close(None).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, proof),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}
