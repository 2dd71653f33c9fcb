//! HTTP calls: those of `load`, and `fortio curl`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response};

use super::arguments::Options;
use super::connection::{Connection, Protocol};

/// A target that was read.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    authority: HeaderValue,
    path: Uri,
}

/// What one call brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// -1 where there was none.
    pub(super) code: i32,
    pub(super) head_size: usize,
    pub(super) size: usize,
}

impl Target {
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let [url] = options.targets.as_slice() else { return Err("want one URL".to_owned()) };
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let uri: Uri = url.parse().map_err(|error| format!("{url:?}: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("{url:?}: this small fortio speaks plain HTTP only"));
        }
        let authority = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?,
            path: path.parse().map_err(|error| format!("{url:?}: {error}"))?,
        })
    }

    pub(super) fn connection(&self, timeout: Duration) -> Connection {
        Connection::to(&self.host, self.port, Protocol::Http1, timeout)
    }

    fn request(&self, options: &Options) -> Result<Request<Full<Bytes>>, String> {
        let default = if options.payload.is_empty() { "GET" } else { "POST" };
        let method = options.method.as_deref().unwrap_or(default);
        let mut request = Request::new(Full::from(options.payload.clone()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("fortio.org/fortio-", env!("CARGO_PKG_VERSION"))),
        );
        if !options.keep_alive {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in &options.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header"))?;
            headers.insert(
                name,
                HeaderValue::from_str(value).map_err(|_| format!("{value:?} is no header's value"))?,
            );
        }
        Ok(request)
    }

    /// One call, its body read to the end.
    pub(super) async fn call(
        &self,
        connection: &mut Connection,
        options: &Options,
    ) -> Result<Answer, String> {
        let request = self.request(options)?;
        let Ok(response) = connection.send(request).await else {
            return Ok(Answer { code: -1, head_size: 0, size: 0 });
        };
        let head_size = head(&response).len();
        let code = i32::from(response.status().as_u16());
        let ends = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let body = response.into_body().collect().await;
        // As fortio does: after an error the connection is not trusted.
        if ends || code >= 500 || body.is_err() || !options.keep_alive {
            connection.close();
        }
        let Ok(body) = body else { return Ok(Answer { code: -1, head_size, size: head_size }) };
        Ok(Answer { code, head_size, size: head_size + body.to_bytes().len() })
    }
}

/// The head as it came over the wire, nearly: names in lower case.
fn head<B>(response: &Response<B>) -> String {
    let status = response.status();
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in response.headers() {
        text += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text + "\r\n"
}

/// `fortio curl URL`: the head and the body; a status from 400 is a failure.
pub(super) async fn curl(options: &Options) -> Result<(), String> {
    let target = Target::of(options)?;
    let mut connection = target.connection(options.timeout);
    let response = connection.send(target.request(options)?).await?;
    let (code, head) = (response.status().as_u16(), head(&response));
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    println!("{head}{}", String::from_utf8_lossy(&body));
    if code < 400 { Ok(()) } else { Err(format!("Fetch error: HTTP code {code}")) }
}
