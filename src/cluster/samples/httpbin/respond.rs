//! Answers made to order.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::serve::host_name;
use super::pretty::Json;

/// Most bytes, lines or redirects one request may ask for.
const MOST_BYTES: usize = 100 * 1024;
const MOST_LINES: usize = 100;
const LONGEST_DELAY: f64 = 10.0;

fn bad(problem: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "status_code": 400, "error": "Bad Request", "detail": problem })))
        .into_response()
}

pub(super) async fn index() -> Html<&'static str> {
    Html(
        "<!DOCTYPE html><html lang=\"en\"><head><title>httpbin</title></head><body><h1>httpbin</h1><p>Ask and be told: \
         /get /post /anything /headers /ip /user-agent /status/418 /delay/1 /bytes/16 /stream/3 /redirect/2 /html /json</p></body></html>",
    )
}

pub(super) async fn hostname() -> Json {
    Json(json!({ "hostname": host_name() }))
}

/// `/status/200`, or one of several by weight: `/status/200:0.9,503:0.1`.
pub(super) async fn status(Path(codes): Path<String>) -> Response {
    let mut choices = Vec::new();
    for part in codes.split(',') {
        let (code, weight) = part.split_once(':').unwrap_or((part, "1"));
        let (Ok(code), Ok(weight)) = (code.trim().parse::<u16>(), weight.trim().parse::<f64>()) else {
            return bad("want /status/CODE or /status/CODE:WEIGHT,CODE:WEIGHT");
        };
        match StatusCode::from_u16(code) {
            Ok(code) if code.as_u16() >= 200 && weight.is_finite() && weight >= 0.0 => {
                choices.push((code, weight))
            }
            _ => return bad("want codes from 200 to 599 and weights from 0"),
        }
    }
    let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut left = fraction() * total;
    for (code, weight) in &choices {
        if left < *weight {
            return told(*code);
        }
        left -= weight;
    }
    told(choices.last().map_or(StatusCode::OK, |(code, _)| *code))
}

fn told(code: StatusCode) -> Response {
    let mut response = code.into_response();
    let headers = response.headers_mut();
    match code.as_u16() {
        301..=303 | 307 | 308 => {
            drop(headers.insert(header::LOCATION, HeaderValue::from_static("/redirect/1")))
        }
        401 => drop(
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Fake Realm\"")),
        ),
        418 => *response.body_mut() = Body::from("I'm a teapot!"),
        _ => {}
    }
    response
}

/// A number from 0 to 1, good enough to choose by.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    let random = aws_lc_rs::rand::fill(&mut bytes).is_ok();
    if random { f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) } else { 0.0 }
}

pub(super) async fn delay(Path(seconds): Path<String>) -> Response {
    let Some(seconds) = seconds.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) else {
        return bad("want /delay/SECONDS");
    };
    tokio::time::sleep(Duration::from_secs_f64(seconds.min(LONGEST_DELAY))).await;
    Json(json!({ "delay": seconds.min(LONGEST_DELAY) })).into_response()
}

pub(super) async fn bytes(Path(count): Path<usize>) -> Response {
    let mut content = vec![0; count.min(MOST_BYTES)];
    if aws_lc_rs::rand::fill(&mut content).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(header::CONTENT_TYPE, "application/octet-stream")], content).into_response()
}

pub(super) async fn stream(Path(count): Path<usize>) -> Response {
    let lines = (0..count.min(MOST_LINES))
        .map(|id| Ok::<_, std::convert::Infallible>(format!("{}\n", json!({ "id": id }))));
    Body::from_stream(futures::stream::iter(lines)).into_response()
}

pub(super) async fn redirect(Path(count): Path<usize>) -> Redirect {
    match count.min(MOST_LINES) {
        0 | 1 => Redirect::to("/get"),
        more => Redirect::to(&format!("/redirect/{}", more - 1)),
    }
}

pub(super) async fn redirect_to(Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let code = value("status_code")
        .and_then(|text| text.parse().ok())
        .and_then(|code| StatusCode::from_u16(code).ok());
    let location = value("url").and_then(|url| HeaderValue::from_str(url).ok());
    let Some(location) = location else { return bad("want ?url=TARGET") };
    (code.unwrap_or(StatusCode::FOUND), [(header::LOCATION, location)]).into_response()
}

pub(super) async fn response_headers(Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let body: serde_json::Map<String, Value> =
        pairs.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let mut response = Json(Value::Object(body)).into_response();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

pub(super) async fn basic_auth(
    Path((user, password)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let authorized =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
    let body = Json(json!({ "authenticated": authorized, "authorized": authorized, "user": user }));
    if authorized {
        return body.into_response();
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"Fake Realm\"")], body)
        .into_response()
}

pub(super) async fn bearer(headers: HeaderMap) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) => Json(json!({ "authenticated": true, "token": token })).into_response(),
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}

pub(super) async fn html() -> Html<&'static str> {
    Html(
        "<!DOCTYPE html>\n<html>\n  <body>\n    <h1>A page to test with</h1>\n    <p>Nothing happens here.</p>\n  </body>\n</html>\n",
    )
}

pub(super) async fn json() -> Json {
    Json(
        json!({ "slideshow": { "author": "Sagene", "title": "Sample", "slides": [{ "type": "all", "title": "First" }, { "type": "all", "title": "Second" }] } }),
    )
}

pub(super) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /deny\n"
}

pub(super) async fn set_cookies(Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let mut response = Redirect::to("/cookies").into_response();
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(&format!("{name}={value}; HttpOnly")) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}
