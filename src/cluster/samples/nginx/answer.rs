//! What a request is answered: the server by its name, the location by its path, then a written answer or a file.

use std::path::{Component, Path};

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};

use super::config::{Listener, Location, Server};

const PAGE: &str = "<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n</head>\n<body>\n<h1>Welcome to nginx!</h1>\n\
<p>The web server works. This is the sample of Sagene's embedded cluster.</p>\n</body>\n</html>\n";
/// Where images keep their page; it is served from memory if the folder does not exist.
const DEFAULT_ROOT: &str = "/usr/share/nginx/html";
/// Most bytes of a file.
const MOST_BYTES: u64 = 16 << 20;

/// Answers a request; `certified` says whether its connection brought a certificate.
pub(super) fn to<B>(request: &Request<B>, listener: &Listener, certified: bool) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or(request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let named = listener.servers.iter().find(|server| server.is_named(host));
    let Some(server) = named.or_else(|| listener.servers.first()) else {
        return error(StatusCode::NOT_FOUND, "");
    };
    if listener.tls && server.verify_client && !certified {
        return error(StatusCode::BAD_REQUEST, "No required SSL certificate was sent");
    }
    let path = request.uri().path();
    let location = server.locations.iter().filter(|location| location.takes(path));
    let location = location.max_by_key(|location| (location.exact, location.path.len()));
    match location.and_then(|location| location.answer.as_ref()).or(server.answer.as_ref()) {
        Some((code, text)) => written(*code, text),
        None => file(server, location, path),
    }
}

impl Location {
    fn takes(&self, path: &str) -> bool {
        if self.exact { self.path == path } else { path.starts_with(&self.path) }
    }
}

fn written(code: u16, text: &str) -> Response<Body> {
    let Ok(status) = StatusCode::from_u16(code) else { return error(StatusCode::INTERNAL_SERVER_ERROR, "") };
    if status.is_redirection()
        && let Ok(target) = HeaderValue::from_str(text)
    {
        let mut response = error(status, "");
        response.headers_mut().insert(header::LOCATION, target);
        return response;
    }
    if text.is_empty() { error(status, "") } else { answer(status, "text/plain", text.as_bytes().to_vec()) }
}

fn file(server: &Server, location: Option<&Location>, path: &str) -> Response<Body> {
    let root = location.and_then(|location| location.root.as_deref()).or(server.root.as_deref());
    let root = Path::new(root.unwrap_or(DEFAULT_ROOT));
    let relative = Path::new(path.trim_start_matches('/'));
    if relative.components().any(|part| !matches!(part, Component::Normal(_)))
        && !relative.as_os_str().is_empty()
    {
        return error(StatusCode::BAD_REQUEST, "");
    }
    let wanted = root.join(relative);
    if !path.ends_with('/') {
        return match read(&wanted) {
            Some(content) => answer(StatusCode::OK, media_type(&wanted), content),
            None => error(StatusCode::NOT_FOUND, ""),
        };
    }
    let own = location.map(|location| location.index.as_slice()).filter(|index| !index.is_empty());
    let index = own.unwrap_or(&server.index);
    let default = ["index.html".to_owned()];
    let index = if index.is_empty() { default.as_slice() } else { index };
    for name in index {
        if let Some(content) = read(&wanted.join(name)) {
            return answer(StatusCode::OK, media_type(Path::new(name)), content);
        }
    }
    if path == "/" && root == Path::new(DEFAULT_ROOT) {
        return answer(StatusCode::OK, "text/html", PAGE.as_bytes().to_vec());
    }
    error(if wanted.is_dir() { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND }, "")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
    if metadata.len() > MOST_BYTES { None } else { std::fs::read(path).ok() }
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

fn answer(status: StatusCode, media_type: &'static str, content: Vec<u8>) -> Response<Body> {
    let length = content.len();
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("nginx/1.27.0"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// A page of nginx about a status.
fn error(status: StatusCode, detail: &str) -> Response<Body> {
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let detail = if detail.is_empty() { String::new() } else { format!("<center>{detail}</center>\r\n") };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n{detail}<hr><center>nginx/1.27.0</center>\r\n</body>\r\n</html>\r\n"
    );
    answer(status, "text/html", page.into_bytes())
}
