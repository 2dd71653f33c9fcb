//! A small `curl`, for `kubectl exec deploy/curl -- curl …` on a machine that has none.
//!
//! The flags that tutorials use. For any other, and for `-v`, the machine's own curl takes over; where there is none, a flag that is
//! unknown fails by name instead of being ignored.

mod arguments;
mod machine;
mod tls;
mod transfer;
mod write_out;

use std::net::IpAddr;

/// How a client of another applet connects.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    /// Authorities of servers; none means the public ones.
    pub(super) ca_file: Option<String>,
    /// Its own certificate.
    pub(super) certificate: Option<String>,
    /// The certificate's key; none means that it is in the same file.
    pub(super) key: Option<String>,
    /// Any server will do.
    pub(super) insecure: bool,
    /// HTTP/2 without being asked for it.
    pub(super) http2: bool,
    /// Redirects are followed.
    pub(super) follow: bool,
    /// Addresses of names: name, port, address.
    pub(super) resolve: Vec<(String, u16, IpAddr)>,
}

/// A client for a URL.
pub(super) fn client(wanted: &Connecting, url: &str) -> Result<reqwest::Client, String> {
    let request = arguments::Request {
        ca_file: wanted.ca_file.clone(),
        certificate: wanted.certificate.clone(),
        key: wanted.key.clone(),
        insecure: wanted.insecure,
        http2_prior_knowledge: wanted.http2,
        follow: wanted.follow,
        resolve: wanted.resolve.clone(),
        ..arguments::Request::default()
    };
    transfer::client(&request, url).map_err(|(_, problem)| problem)
}

/// Runs one command line; returns curl's exit code (2 usage, 3 URL, 6 name, 7 connect, 22 HTTP error with `-f`, 28 time-out, 35 TLS,
/// 52 empty reply, 56 receive, 58 own certificate, 60 server's certificate, 77 authorities).
pub(super) async fn run(arguments: &[String]) -> i32 {
    let parsed = arguments::parse(arguments);
    if !matches!(&parsed, Ok(request) if !request.verbose)
        && let Some(error) = machine::become_it(arguments)
    {
        eprintln!("curl: the machine's own cannot run: {error}");
    }
    let request = match parsed {
        Ok(request) => request,
        Err(problem) => {
            eprintln!("curl: {problem}");
            return 2;
        }
    };
    let mut code = 0;
    for url in &request.urls {
        code = transfer::run(&request, url).await;
    }
    code
}
