//! `pilot-agent request METHOD PATH`: one HTTP request to a server of the proxy on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Flags of `pilot-agent request`.
#[derive(Debug, Clone, clap::Args)]
pub struct RequestArguments {
    /// Method: GET or POST
    pub method: String,
    /// Path, with or without the leading slash
    pub path: String,
    /// Body of a POST
    #[arg(default_value = "")]
    pub body: String,
    /// Port of the server: the proxy's admin server, or 15020 for the agent
    #[arg(long = "debug-port", default_value_t = 15000)]
    pub debug_port: u16,
    /// Tell of an error as a JSON object of a log
    #[arg(long = "log_as_json", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub log_as_json: bool,
}

/// Longest silence of the server before giving up.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Prints the body of the answer.
pub(super) fn run(arguments: &RequestArguments) -> Result<(), String> {
    let method = arguments.method.to_ascii_uppercase();
    if !matches!(method.as_str(), "GET" | "POST" | "HEAD") {
        return Err(format!("method {:?} is not supported: use GET or POST", arguments.method));
    }
    let (status, body) = call(arguments.debug_port, &method, &arguments.path, &arguments.body, TIMEOUT)?;
    if !(200..300).contains(&status) {
        return Err(format!(
            "received unsuccessful status code {status}: {}",
            String::from_utf8_lossy(&body).trim()
        ));
    }
    std::io::stdout().write_all(&body).map_err(|error| format!("cannot write the answer: {error}"))
}

/// Makes one request to `127.0.0.1:port` and returns status and body.
pub(super) fn call(
    port: u16,
    method: &str,
    path: &str,
    body: &str,
    timeout: Duration,
) -> Result<(u16, Vec<u8>), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error: std::io::Error| format!("cannot reach the proxy on {address}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(failed)?;
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    let path = path.trim_start_matches('/');
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    parse(&answer).ok_or_else(|| format!("{address} did not answer with HTTP"))
}

/// Status and body of an HTTP/1.0 answer, which ends with the connection.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer).ok()? {
        httparse::Status::Complete(length) => Some((response.code?, answer.get(length..)?.to_vec())),
        httparse::Status::Partial => None,
    }
}
