//! The application's probes, which injection redirected to the agent.
//!
//! With mutual TLS required kubelet could not reach the application itself; it asks the agent, and the agent asks
//! the application inside the pod with what the pod's author wrote.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use http::{Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::time::timeout;

use super::grpc_probe;
use super::http_client::{ClientError, connect_as_proxy, send, tls};
use crate::agent::http_server::Request;

/// Redirects followed, at most; kubelet's limit.
const REDIRECTS: usize = 10;
/// Time for a probe that sets none.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The application's probes by the path under which kubelet asks for them.
#[derive(Debug, Clone)]
pub(crate) struct Probes {
    by_path: HashMap<String, Probe>,
    /// The pod's address.
    destination: IpAddr,
}

/// `ISTIO_KUBE_APP_PROBERS` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("ISTIO_KUBE_APP_PROBERS is not the JSON that injection writes")]
pub(crate) struct ProbeError(#[source] serde_json::Error);

/// One probe as Kubernetes writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocketAction>,
    grpc: Option<GrpcAction>,
    timeout_seconds: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: u16,
    #[serde(default)]
    host: String,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    http_headers: Vec<Header>,
}

#[derive(Debug, Clone, Deserialize)]
struct Header {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
struct TcpSocketAction {
    port: u16,
}

#[derive(Debug, Clone, Deserialize)]
struct GrpcAction {
    port: u16,
    service: Option<String>,
}

impl Probes {
    /// Reads `ISTIO_KUBE_APP_PROBERS` (empty = no probes) for the application at `destination`.
    pub(crate) fn parse(text: &str, destination: IpAddr) -> Result<Self, ProbeError> {
        let by_path = match text {
            "" => HashMap::new(),
            text => serde_json::from_str(text).map_err(ProbeError)?,
        };
        Ok(Self { by_path, destination })
    }

    /// The answer to kubelet's request; `None` when there is no such probe.
    pub(crate) async fn probe(&self, request: &Request) -> Option<StatusCode> {
        let probe = self.by_path.get(&request.path)?;
        let limit = match probe.timeout_seconds {
            None | Some(0) => TIMEOUT,
            Some(seconds) => Duration::from_secs(seconds),
        };
        let status = match timeout(limit, self.run(probe, request)).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                tracing::debug!(path = %request.path, error = %sagene_base::task::error_chain(&error), "probe failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Err(_) => {
                tracing::debug!(path = %request.path, ?limit, "probe got no answer in time");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Some(status)
    }

    async fn run(&self, probe: &Probe, request: &Request) -> Result<StatusCode, ClientError> {
        let at = |port| SocketAddr::new(self.destination, port);
        if let Some(http) = &probe.http_get {
            return self.http(http, request).await;
        }
        if let Some(tcp) = &probe.tcp_socket {
            connect_as_proxy(at(tcp.port)).await?;
            return Ok(StatusCode::OK);
        }
        if let Some(grpc) = &probe.grpc {
            let stream = connect_as_proxy(at(grpc.port)).await?;
            let serving = grpc_probe::is_serving(stream, grpc.service.as_deref().unwrap_or_default()).await;
            return Ok(if serving { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR });
        }
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Follows redirects inside the application; one to another host is the answer.
    async fn http(&self, action: &HttpGet, request: &Request) -> Result<StatusCode, ClientError> {
        let headers = outgoing_headers(action, request, SocketAddr::new(self.destination, action.port));
        let mut target = Target {
            secure: action.scheme.eq_ignore_ascii_case("HTTPS"),
            port: action.port,
            path: rooted(&action.path),
        };
        for _ in 0..=REDIRECTS {
            let answer = self.get(&target, &headers).await?;
            match target.redirected(&answer, self.destination, &action.host) {
                Some(next) => target = next,
                None => return Ok(answer.status()),
            }
        }
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }

    async fn get(&self, target: &Target, headers: &HeaderMap) -> Result<Response<Incoming>, ClientError> {
        let mut request = http::Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = target.path.parse::<Uri>().unwrap_or_default();
        *request.headers_mut() = headers.clone();
        let address = SocketAddr::new(self.destination, target.port);
        let stream = connect_as_proxy(address).await?;
        if target.secure {
            return send(tls(stream, address).await?, request).await;
        }
        send(stream, request).await
    }
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Where a probe goes inside the application.
#[derive(Debug)]
struct Target {
    secure: bool,
    port: u16,
    path: String,
}

impl Target {
    /// Where `answer` sends the probe on to, when that is the same application.
    fn redirected(&self, answer: &Response<Incoming>, destination: IpAddr, host: &str) -> Option<Self> {
        if !answer.status().is_redirection() {
            return None;
        }
        let location = answer.headers().get(LOCATION)?.to_str().ok()?;
        let uri: Uri = location.parse().ok()?;
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let Some(target_host) = uri.host() else {
            return Some(Self { secure: self.secure, port: self.port, path: rooted(&path) });
        };
        let same = target_host == host || target_host.trim_matches(['[', ']']).parse() == Ok(destination);
        if !same {
            return None;
        }
        let secure = uri.scheme_str() == Some("https");
        Some(Self {
            secure,
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            path: rooted(&path),
        })
    }
}

/// Kubelet's headers, then those of the probe, which win.
fn outgoing_headers(action: &HttpGet, request: &Request, address: SocketAddr) -> HeaderMap {
    let mut headers = request.headers.clone();
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let own: Vec<(HeaderName, HeaderValue)> = action
        .http_headers
        .iter()
        .filter_map(|header| Some((header.name.parse().ok()?, header.value.parse().ok()?)))
        .collect();
    for (name, _) in &own {
        headers.remove(name);
    }
    headers.extend(own);
    if !headers.contains_key(HOST) {
        let host = if action.host.is_empty() { address.to_string() } else { action.host.clone() };
        if let Ok(host) = host.parse() {
            headers.insert(HOST, host);
        }
    }
    headers
}
