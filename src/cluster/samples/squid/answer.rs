//! What squid answers itself.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// An answer and the length of its body.
pub(super) type Answer = (Response<Body>, u64);

/// Refused by `http_access`.
pub(super) fn denied() -> Answer {
    page(StatusCode::FORBIDDEN, "ERR_ACCESS_DENIED", "Access Denied.")
}

/// A request that names no host.
pub(super) fn invalid() -> Answer {
    page(StatusCode::BAD_REQUEST, "ERR_INVALID_URL", "Invalid URL")
}

/// Pages of the cache manager, of which there are none: nothing is cached.
pub(super) fn no_manager() -> Answer {
    page(StatusCode::NOT_FOUND, "ERR_INVALID_URL", "There is no cache manager here")
}

/// The host has no address.
pub(super) fn no_address(host: &str) -> Answer {
    page(
        StatusCode::SERVICE_UNAVAILABLE,
        "ERR_DNS_FAIL",
        &format!("Unable to determine IP address from host name \"{host}\""),
    )
}

/// No connection to the host.
pub(super) fn no_connection(problem: &str) -> Answer {
    page(StatusCode::SERVICE_UNAVAILABLE, "ERR_CONNECT_FAIL", &format!("Connection failed: {problem}"))
}

fn page(status: StatusCode, error: &'static str, text: &str) -> Answer {
    let body = format!(
        "<html><head><title>ERROR: The requested URL could not be retrieved</title></head>\
         <body id=\"{error}\"><p>{text}</p></body></html>\n"
    );
    let length = body.len() as u64;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("squid/3.5.27"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
    headers.insert("x-squid-error", HeaderValue::from_static(error));
    (response, length)
}
