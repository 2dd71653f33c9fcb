//! Requests to other servers, and what came of them, a line for each thing: `[0] StatusCode=200`, `[0 body] Hostname=…`.

mod aim;
mod call;
mod http;
mod stream;

use std::time::{Duration, Instant};

use super::grpc::ForwardEchoRequest;

/// Most requests of one order.
const MOST: i32 = 1_000_000;

/// Sends all requests, one after another, not faster than `qps` a second.
///
/// # Errors
/// Where one of them fails: how many, and the first one's problem.
pub(super) async fn run(request: &ForwardEchoRequest) -> Result<Vec<String>, String> {
    let mut target = Target::of(request).await?;
    let count = request.count.clamp(1, MOST);
    let pause = (request.qps > 0).then(|| Duration::from_secs(1) / request.qps.unsigned_abs());
    let mut output = Vec::new();
    let mut problems = Vec::new();
    for number in 0..count {
        let started = Instant::now();
        let longest = request.timeout();
        let sent = tokio::time::timeout(longest, target.send(request, number)).await;
        match sent.unwrap_or_else(|_| Err(format!("timeout after {longest:?}"))) {
            Ok(lines) => output.push(lines.into_text()),
            Err(problem) => problems.push(problem),
        }
        if request.new_connection_per_request {
            target = Target::of(request).await?;
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
        }
    }
    match problems.first() {
        None => Ok(output),
        Some(first) => Err(format!("{}/{count} requests had errors; first error: {first}", problems.len())),
    }
}

/// A server by the protocol that the URL's scheme names.
enum Target {
    Http(http::Client),
    Grpc(call::Client),
    Tcp,
    WebSocket,
}

impl Target {
    async fn of(request: &ForwardEchoRequest) -> Result<Self, String> {
        let scheme = request.url.split_once("://").map_or("", |(scheme, _)| scheme);
        Ok(match scheme {
            "http" | "https" => Self::Http(http::Client::of(request).await?),
            "grpc" | "grpcs" => Self::Grpc(call::Client::of(request).await?),
            "tcp" => Self::Tcp,
            "ws" => Self::WebSocket,
            "xds" => {
                return Err(format!("{}: gRPC without a proxy is not served; write grpc://", request.url));
            }
            _ => {
                return Err(format!(
                    "{}: scheme {scheme:?} is none of http, https, grpc, grpcs, tcp, ws",
                    request.url
                ));
            }
        })
    }

    async fn send(&mut self, request: &ForwardEchoRequest, number: i32) -> Result<Lines, String> {
        let mut lines = Lines { number, text: String::new() };
        match self {
            Self::Http(client) => client.send(request, &mut lines).await?,
            Self::Grpc(client) => client.send(request, &mut lines).await?,
            Self::Tcp => stream::tcp(request, &mut lines).await?,
            Self::WebSocket => stream::web_socket(request, &mut lines).await?,
        }
        Ok(lines)
    }
}

impl ForwardEchoRequest {
    fn timeout(&self) -> Duration {
        let micros = u64::try_from(self.timeout_micros).unwrap_or_default();
        if micros == 0 { Duration::from_secs(5) } else { Duration::from_micros(micros) }
    }

    /// A header of the request; names have no case.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|one| one.key.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }

    /// The URL without its scheme, and without a path: `host:port`.
    fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or(rest)
    }
}

/// What is told of one request.
struct Lines {
    number: i32,
    text: String,
}

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text += &format!("[{}] {name}={value}\n", self.number);
    }

    /// Lines of an answer that are not empty.
    fn body(&mut self, text: &str) {
        for line in text.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()) {
            self.text += &format!("[{} body] {line}\n", self.number);
        }
    }

    fn into_text(self) -> String {
        self.text
    }
}
