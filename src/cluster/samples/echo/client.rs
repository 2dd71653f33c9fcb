//! Command line of `client`: `client [flags] URL`.

use std::time::Duration;

use super::forward;
use super::grpc::{ForwardEchoRequest, Header};
use super::log;

/// How long a request may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Exit code of everything that goes wrong.
const FAILED: i32 = 255;

pub(super) async fn run(arguments: &[String]) -> i32 {
    let outcome = match parse(arguments) {
        Ok(request) => forward::run(&request).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(output) => {
            output.iter().for_each(|text| println!("{text}"));
            log("All requests succeeded");
            0
        }
        Err(problem) => {
            eprintln!("Error {problem}");
            FAILED
        }
    }
}

/// Flags of two dashes, `-H`, `-L` and `-k`; values behind `=` or in the next word.
pub(super) fn parse(arguments: &[String]) -> Result<ForwardEchoRequest, String> {
    let mut request = ForwardEchoRequest {
        count: 1,
        timeout_micros: micros(TIMEOUT),
        message: "HelloWorld".to_owned(),
        ..ForwardEchoRequest::default()
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if !argument.starts_with('-') {
            if !request.url.is_empty() {
                return Err(format!("want one URL, not {} and {argument} too", request.url));
            }
            request.url =
                if argument.contains("://") { argument.clone() } else { format!("http://{argument}") };
            continue;
        }
        let flag = argument.trim_start_matches('-');
        let (name, attached) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if let Some(switch) = switch(&mut request, name) {
            *switch = attached != Some("false");
            continue;
        }
        let value = attached.or_else(|| rest.next().map(String::as_str));
        set(&mut request, name, value.ok_or_else(|| format!("{argument} wants a value"))?)?;
    }
    if request.url.is_empty() { Err("want a URL".to_owned()) } else { Ok(request) }
}

fn switch<'r>(request: &'r mut ForwardEchoRequest, name: &str) -> Option<&'r mut bool> {
    Some(match name {
        "http2" => &mut request.http2,
        "server-first" => &mut request.server_first,
        "follow-redirects" | "L" => &mut request.follow_redirects,
        "insecure-skip-verify" | "k" => &mut request.insecure_skip_verify,
        "new-connection-per-request" => &mut request.new_connection_per_request,
        _ => return None,
    })
}

fn set(request: &mut ForwardEchoRequest, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse().map_err(|_| format!("--{name}: {value:?} is no number"));
    match name {
        "count" => request.count = number()?,
        "qps" => request.qps = number()?,
        "timeout" => {
            let time: sagene_api::Duration =
                value.parse().map_err(|_| format!("--timeout: {value:?} is no duration such as 5s"))?;
            request.timeout_micros = micros(time.to_std());
        }
        "header" | "H" => {
            let (key, value) = value
                .split_once(':')
                .ok_or_else(|| format!("invalid header format: {value:?} (want name:value)"))?;
            request.headers.push(Header { key: key.to_owned(), value: value.trim().to_owned() });
        }
        "msg" => value.clone_into(&mut request.message),
        "method" => value.clone_into(&mut request.method),
        "ca" => value.clone_into(&mut request.ca_cert_file),
        "client-cert" => value.clone_into(&mut request.cert_file),
        "client-key" => value.clone_into(&mut request.key_file),
        "server-name" => value.clone_into(&mut request.server_name),
        _ => {
            return Err(format!(
                "--{name} is not served by this program; it knows --count, --qps, --timeout, --header, --msg, --method, --http2, --server-first, \
                 --follow-redirects, --insecure-skip-verify, --new-connection-per-request, --ca, --client-cert, --client-key and --server-name"
            ));
        }
    }
    Ok(())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
