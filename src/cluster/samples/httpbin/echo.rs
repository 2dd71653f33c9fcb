//! Answers that repeat the request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Style;
use super::pretty::Json;

type Pairs = Query<Vec<(String, String)>>;

impl Style {
    fn value(self, values: Vec<String>) -> Value {
        match self {
            Self::Lists => json!(values),
            Self::Flat => json!(values.join(",")),
        }
    }

    fn map(self, pairs: impl Iterator<Item = (String, String)>) -> Value {
        let mut grouped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            grouped.entry(name).or_default().push(value);
        }
        Value::Object(grouped.into_iter().map(|(name, values)| (name, self.value(values))).collect())
    }

    fn headers(self, headers: &HeaderMap) -> Value {
        self.map(headers.iter().map(|(name, value)| {
            (canonical(name.as_str()), String::from_utf8_lossy(value.as_bytes()).into_owned())
        }))
    }
}

/// `x-request-id` → `X-Request-Id`, as both originals show names.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut characters = part.chars();
        characters
            .next()
            .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
    });
    parts.collect::<Vec<_>>().join("-")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The client's address: the first that a proxy noted, else that of the connection.
pub(super) struct Origin(String);

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let noted = text(&parts.headers, "x-forwarded-for").split(',').next().unwrap_or_default().trim();
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(match connected {
            Some(ConnectInfo(peer)) if noted.is_empty() => peer.ip().to_canonical().to_string(),
            _ => noted.to_owned(),
        }))
    }
}

fn url(headers: &HeaderMap, uri: &Uri) -> String {
    let scheme = match text(headers, "x-forwarded-proto") {
        "" => "http",
        known => known,
    };
    let host =
        uri.authority().map_or_else(|| text(headers, header::HOST.as_str()).to_owned(), ToString::to_string);
    format!("{scheme}://{host}{}", uri.path_and_query().map_or("/", |path| path.as_str()))
}

fn request(
    style: Style,
    method: &Method,
    uri: &Uri,
    pairs: Vec<(String, String)>,
    headers: &HeaderMap,
    Origin(origin): Origin,
) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("args".to_owned(), style.map(pairs.into_iter()));
    answer.insert("headers".to_owned(), style.headers(headers));
    answer.insert("method".to_owned(), json!(method.as_str()));
    answer.insert("origin".to_owned(), json!(origin));
    answer.insert("url".to_owned(), json!(url(headers, uri)));
    answer
}

/// `data` is text where the body is text, else a data URL; `form` and `json` hold it parsed.
fn body_of(style: Style, headers: &HeaderMap, body: &Bytes) -> [(&'static str, Value); 4] {
    let media_type = text(headers, header::CONTENT_TYPE.as_str());
    let is_form = media_type.starts_with("application/x-www-form-urlencoded");
    let form: Vec<(String, String)> = if is_form {
        Query::try_from_uri(&form_uri(body)).map(|query| query.0).unwrap_or_default()
    } else {
        Vec::new()
    };
    let data = match std::str::from_utf8(body) {
        Ok(_) if is_form && style == Style::Flat => String::new(),
        Ok(text) => text.to_owned(),
        Err(_) => format!("data:application/octet-stream;base64,{}", STANDARD.encode(body)),
    };
    let parsed = serde_json::from_slice::<Value>(body).ok().filter(|_| media_type.contains("json"));
    [
        ("data", json!(data)),
        ("files", json!({})),
        ("form", style.map(form.into_iter())),
        ("json", parsed.unwrap_or(Value::Null)),
    ]
}

/// A URI whose query is the form: one parser for both.
fn form_uri(body: &Bytes) -> Uri {
    let query: String = String::from_utf8_lossy(body).chars().filter(char::is_ascii_graphic).collect();
    format!("/?{query}").parse().unwrap_or_default()
}

pub(super) async fn without_body(
    State(style): State<Arc<Style>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    Query(pairs): Pairs,
    origin: Origin,
    headers: HeaderMap,
) -> Json {
    Json(Value::Object(request(*style, &method, &uri, pairs, &headers, origin)))
}

pub(super) async fn with_body(
    State(style): State<Arc<Style>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    Query(pairs): Pairs,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Json {
    let mut answer = request(*style, &method, &uri, pairs, &headers, origin);
    answer.extend(body_of(*style, &headers, &body).map(|(name, value)| (name.to_owned(), value)));
    Json(Value::Object(answer))
}

pub(super) async fn anything(
    state: State<Arc<Style>>,
    method: Method,
    uri: OriginalUri,
    pairs: Pairs,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Json {
    with_body(state, method, uri, pairs, origin, headers, body).await
}

pub(super) async fn headers(State(style): State<Arc<Style>>, headers: HeaderMap) -> Json {
    Json(json!({ "headers": style.headers(&headers) }))
}

pub(super) async fn ip(Origin(origin): Origin) -> Json {
    Json(json!({ "origin": origin }))
}

pub(super) async fn user_agent(headers: HeaderMap) -> Json {
    Json(json!({ "user-agent": text(&headers, header::USER_AGENT.as_str()) }))
}

pub(super) async fn cookies(State(style): State<Arc<Style>>, headers: HeaderMap) -> Json {
    let jar: Map<String, Value> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    Json(if *style == Style::Flat { json!({ "cookies": jar }) } else { Value::Object(jar) })
}
