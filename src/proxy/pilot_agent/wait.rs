//! `pilot-agent wait`: returns when the proxy is ready; the `postStart` hook that holds the application back.

use std::time::{Duration, Instant};

use super::request;

/// Flags of `pilot-agent wait`.
#[derive(Debug, Clone, clap::Args)]
pub struct WaitArguments {
    /// Time of one attempt, in milliseconds
    #[arg(long = "requestTimeoutMillis", default_value_t = 500)]
    pub request_timeout_millis: u64,
    /// Pause between attempts, in milliseconds
    #[arg(long = "periodMillis", default_value_t = 500)]
    pub period_millis: u64,
    /// How long to wait in all, in seconds
    #[arg(long = "timeoutSeconds", default_value_t = 60)]
    pub timeout_seconds: u64,
    /// Where readiness is answered
    #[arg(long = "url", default_value = "http://localhost:15021/healthz/ready")]
    pub url: String,
}

/// Asks until the answer is 200.
pub(super) fn run(arguments: &WaitArguments) -> Result<(), String> {
    let (port, path) = local_url(&arguments.url)?;
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout_seconds);
    let attempt = Duration::from_millis(arguments.request_timeout_millis.max(1));
    loop {
        let reason = match request::call(port, "GET", path, "", attempt) {
            Ok((200, _)) => return Ok(()),
            Ok((status, body)) => {
                format!("HTTP status code {status}: {}", String::from_utf8_lossy(&body).trim())
            }
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            return Err(format!("timeout waiting for Envoy proxy to become ready. Last error: {reason}"));
        }
        std::thread::sleep(Duration::from_millis(arguments.period_millis));
    }
}

/// Port and path of a URL on this machine.
fn local_url(url: &str) -> Result<(u16, &str), String> {
    let wrong = || format!("--url {url:?}: expected http://localhost:PORT/PATH");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    if !matches!(host, "localhost" | "127.0.0.1") {
        return Err(wrong());
    }
    Ok((port.parse().map_err(|_| wrong())?, path))
}
