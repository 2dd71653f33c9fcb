//! The application's own metrics, read when the pod's are.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderMap, USER_AGENT};
use http_body_util::Empty;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::http_client::{ClientError, read_body, send};

/// How long the application may take when the scraper sets no limit.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer taken from the application.
const LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// Ports that are the proxy's own; scraping them would merge metrics with themselves.
const OWN_PORTS: [u16; 9] = [15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090];
/// How long the scraper waits, as it says itself.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Where the application's metrics are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScrapeTarget {
    port: u16,
    path: String,
}

/// What injection saved of the pod's `prometheus.io/*` annotations.
#[derive(Debug, Deserialize)]
struct Annotations {
    #[serde(default)]
    scrape: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    port: String,
}

/// Why the application's metrics cannot be merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    /// The variable is not what injection writes.
    #[error("ISTIO_PROMETHEUS_ANNOTATIONS is not the JSON that injection writes")]
    Format(#[source] serde_json::Error),
    /// The port is no port.
    #[error("annotation prometheus.io/port: {0:?} is not a port")]
    Port(String),
    /// The port is the proxy's.
    #[error("annotation prometheus.io/port: {0} is a port of the proxy itself; name the application's")]
    OwnPort(u16),
    /// The application answered with something else.
    #[error("the application answered {0}")]
    Status(http::StatusCode),
    /// The address is no address.
    #[error("annotation prometheus.io/path: not a path")]
    Path(#[source] http::Error),
    /// There was no answer.
    #[error("http://127.0.0.1:{port}{path}")]
    Request { port: u16, path: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl ScrapeTarget {
    /// Understands `ISTIO_PROMETHEUS_ANNOTATIONS`; `None` when the application does not ask to be scraped.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, ScrapeError> {
        if text.is_empty() {
            return Ok(None);
        }
        let annotations: Annotations = serde_json::from_str(text).map_err(ScrapeError::Format)?;
        if annotations.scrape != "true" {
            return Ok(None);
        }
        let port = match annotations.port.as_str() {
            "" => 80,
            text => text.parse().map_err(|_| ScrapeError::Port(text.to_owned()))?,
        };
        if OWN_PORTS.contains(&port) {
            return Err(ScrapeError::OwnPort(port));
        }
        let path = match annotations.path.as_str() {
            "" => "/metrics".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        };
        Ok(Some(Self { port, path }))
    }

    /// Reads the application's metrics as Prometheus text.
    pub(crate) async fn fetch(&self, scraper: &HeaderMap) -> Result<String, ScrapeError> {
        let limit = scraper
            .get(SCRAPE_TIMEOUT)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map_or(TIMEOUT, |asked| asked.min(TIMEOUT));
        let request = self.request(scraper)?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ScrapeError::Request {
            port: self.port,
            path: self.path.clone(),
            source,
        };
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(Ok((status, body))) if status.is_success() => Ok(String::from_utf8_lossy(&body).into_owned()),
            Ok(Ok((status, _))) => Err(ScrapeError::Status(status)),
            Ok(Err(error)) => Err(failed(Box::new(error))),
            Err(_) => Err(failed(Box::new(ClientError::Timeout(limit)))),
        }
    }

    /// Only the plain text format is asked for: it is the one that can be put after another text.
    fn request(&self, scraper: &HeaderMap) -> Result<http::Request<Empty<Bytes>>, ScrapeError> {
        let mut request = http::Request::get(self.path.as_str())
            .header(HOST, format!("127.0.0.1:{}", self.port))
            .header(ACCEPT, "text/plain;version=0.0.4")
            .body(Empty::new())
            .map_err(ScrapeError::Path)?;
        for name in [USER_AGENT.as_str(), SCRAPE_TIMEOUT] {
            if let (Some(value), Ok(name)) = (scraper.get(name), http::HeaderName::try_from(name)) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Ok(request)
    }

    async fn exchange(
        &self,
        request: http::Request<Empty<Bytes>>,
    ) -> Result<(http::StatusCode, Bytes), ClientError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream =
            TcpStream::connect(address).await.map_err(|source| ClientError::Connect { address, source })?;
        let answer = send(stream, request).await?;
        let status = answer.status();
        Ok((status, read_body(answer.into_body(), LIMIT_BYTES).await?))
    }
}
