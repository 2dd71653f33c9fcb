//! Servers whose whole answer is one text: `health` of Istio's page on health checks, `hashicorp/http-echo`, `hello-app`.

use axum::Router;
use axum::http::Uri;
use axum::routing::{any, get};

use super::SampleError;
use super::serve::{environment, host_name, serve};

/// `/foo` and `/bar` on ports 8001 and 8002.
pub(super) async fn health(_arguments: &[String]) -> Result<(), SampleError> {
    let routes = |port: u16| {
        let answer = move |uri: Uri| async move {
            format!("Listening on {port}: {} ", uri.path().trim_start_matches('/'))
        };
        Router::new().route("/foo", get(answer)).route("/bar", get(answer))
    };
    tokio::try_join!(serve(8001, routes(8001)), serve(8002, routes(8002)))?;
    Ok(())
}

/// `-text=hello -listen=:5678 -status-code=200`: every path answers with the text.
pub(super) async fn http_echo(arguments: &[String]) -> Result<(), SampleError> {
    let echo = HttpEcho::parse(arguments)
        .map_err(|problem| SampleError::Argument { applet: "http-echo", problem })?;
    let HttpEcho { text, port, status } = echo;
    let routes = Router::new()
        .route("/health", get(|| async { "{\"status\":\"ok\"}\n" }))
        .fallback(move || async move { (status, format!("{text}\n")) });
    serve(port, routes).await
}

/// What a command line of `http-echo` asks for.
#[derive(Debug, PartialEq)]
struct HttpEcho {
    text: String,
    port: u16,
    status: axum::http::StatusCode,
}

impl HttpEcho {
    /// Flags with one dash or two, their value behind `=` or in the next word.
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut text, mut listen, mut status) =
            (environment("ECHO_TEXT", ""), ":5678".to_owned(), "200".to_owned());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let flag = argument.trim_start_matches('-');
            let (name, attached) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let target = match name {
                "text" => &mut text,
                "listen" => &mut listen,
                "status-code" => &mut status,
                _ => return Err(format!("{argument:?} is none of -text, -listen, -status-code")),
            };
            let value = attached.or_else(|| rest.next().map(String::as_str));
            value.ok_or_else(|| format!("{argument:?} wants a value"))?.clone_into(target);
        }
        if text.is_empty() {
            return Err("Missing -text option!".to_owned());
        }
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
        Ok(Self {
            text,
            port: port.ok_or_else(|| format!("-listen {listen:?} names no port, as :5678 does"))?,
            status: status.parse().map_err(|_| format!("-status-code {status:?} is no HTTP status"))?,
        })
    }
}

/// Says which version runs where, on port 8080 or `PORT`.
pub(super) async fn hello_app(_arguments: &[String]) -> Result<(), SampleError> {
    let port = environment("PORT", "8080");
    let problem = || format!("PORT {port:?} is no port; want a number from 1 to 65535");
    let port = port.parse().map_err(|_| SampleError::Argument { applet: "hello-app", problem: problem() })?;
    let version = environment("SERVICE_VERSION", "1.0.0");
    let greeting = format!("Hello, world!\nVersion: {version}\nHostname: {}\n", host_name());
    let routes = Router::new().fallback(any(move || async move { greeting }));
    serve(port, routes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_http_echo_are_read() {
        let of = |words: &[&str]| {
            HttpEcho::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let echo = of(&["-text=hello world", "-listen=:8080"]).expect("parses");
        assert_eq!((echo.text.as_str(), echo.port), ("hello world", 8080));
        assert_eq!(of(&["--text", "a"]).expect("parses").port, 5678);
        assert!(of(&["-txt=a"]).is_err() && of(&[]).is_err() && of(&["-text=a", "-listen=x"]).is_err());
    }
}
