//! `ext-authz`: the authorization service of Istio's tutorial, by HTTP on 8000 and by gRPC on 9000. It allows requests that say
//! `x-ext-authz: allow`.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as Header, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;

use super::SampleError;
use super::grpc::{asked, unary};
use super::serve::{listen, serve, stopped};

const CHECKED: &str = "x-ext-authz";
const ALLOWED: &str = "allow";
const RESULT: &str = "x-ext-authz-check-result";
const RECEIVED: &str = "x-ext-authz-check-received";
const OVERRIDE: &str = "x-ext-authz-additional-header-override";
const DENIED: &str = "denied by ext_authz for not found header `x-ext-authz: allow` in the request";
/// gRPC's code for a caller that may not.
const PERMISSION_DENIED: i32 = 7;

/// Arguments: `-http PORT` and `-grpc PORT`.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let http = port(arguments, "http", 8000)?;
    let grpc_port = port(arguments, "grpc", 9000)?;
    let grpc = listen(grpc_port).await?;
    log(&format!("Starting HTTP server at [::]:{http}"));
    log(&format!("Starting gRPC server at [::]:{grpc_port}"));
    let routes = Router::new().route("/envoy.service.auth.v3.Authorization/Check", post(by_grpc));
    let by_grpc =
        tokio::spawn(async move { axum::serve(grpc, routes).with_graceful_shutdown(stopped()).await });
    serve(http, Router::new().fallback(by_http)).await?;
    by_grpc.abort();
    Ok(())
}

/// A line with the time in front, as the original has it.
fn log(text: &str) {
    println!("{} {text}", jiff::Zoned::now().strftime("%Y/%m/%d %H:%M:%S"));
}

fn port(arguments: &[String], name: &str, default: u16) -> Result<u16, SampleError> {
    let at = arguments.iter().position(|argument| argument.trim_start_matches('-') == name);
    let Some(text) = at.and_then(|at| arguments.get(at + 1)) else { return Ok(default) };
    text.parse().map_err(|_| SampleError::Argument {
        applet: "ext-authz",
        problem: format!("{text:?} is no port; want -{name} and a number from 1 to 65535"),
    })
}

async fn by_http(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let allowed = parts.headers.get(CHECKED).is_some_and(|value| value == ALLOWED);
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown = format!(
        "{} {}{}, headers: {:?}, body: [{}]",
        parts.method,
        text("host"),
        parts.uri,
        parts.headers,
        String::from_utf8_lossy(&body)
    );
    log(&format!("[HTTP][{}]: {shown}", if allowed { "allowed" } else { "denied" }));
    let mut headers = HeaderMap::new();
    headers.insert(RESULT, HeaderValue::from_static(if allowed { "allowed" } else { "denied" }));
    headers.insert(OVERRIDE, HeaderValue::from_str(text(OVERRIDE)).unwrap_or(HeaderValue::from_static("")));
    headers.insert(RECEIVED, HeaderValue::from_str(&shown).unwrap_or(HeaderValue::from_static("")));
    if allowed {
        (StatusCode::OK, headers).into_response()
    } else {
        (StatusCode::FORBIDDEN, headers, DENIED).into_response()
    }
}

async fn by_grpc(body: Bytes) -> Response {
    let check: CheckRequest = asked(&body).unwrap_or_default();
    let request =
        check.attributes.and_then(|all| all.request).and_then(|request| request.http).unwrap_or_default();
    let allowed = request.headers.get(CHECKED).is_some_and(|value| value == ALLOWED);
    let shown =
        format!("{} {}{}, headers: {}", request.method, request.host, request.path, sorted(&request.headers));
    log(&format!("[gRPCv3][{}]: {shown}", if allowed { "allowed" } else { "denied" }));
    let result = if allowed { "allowed" } else { "denied" };
    let headers = vec![
        option(RESULT, result),
        option(RECEIVED, &shown),
        option(OVERRIDE, "grpc-additional-header-override-value"),
    ];
    let answer = CheckResponse {
        status: Some(Status { code: if allowed { 0 } else { PERMISSION_DENIED }, ..Status::default() }),
        http_response: Some(if allowed {
            HttpResponse::OkResponse(OkHttpResponse { headers, ..OkHttpResponse::default() })
        } else {
            let status = Some(HttpStatus { code: 403 });
            HttpResponse::DeniedResponse(DeniedHttpResponse { status, headers, body: DENIED.to_owned() })
        }),
        ..CheckResponse::default()
    };
    unary(&answer)
}

fn sorted(headers: &HashMap<String, String>) -> String {
    let mut pairs: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    pairs.sort();
    format!("[{}]", pairs.join(" "))
}

fn option(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Header { key: key.to_owned(), value: value.to_owned(), ..Header::default() }),
        ..HeaderValueOption::default()
    }
}
