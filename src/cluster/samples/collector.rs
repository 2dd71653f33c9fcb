//! `otel/opentelemetry-collector`: takes log records and spans in by OTLP, prints them (`debug`, `logging`) or hands them on (`otlp`), as the
//! pipelines of its configuration say.

mod config;
mod print;
mod receive;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::SampleError;
use super::serve::{listen_at, stopped};
use config::Config;

/// Configuration where the command line names none.
const FILE: &str = "/etc/otelcol/config.yaml";
/// Where the extension `health_check` answers.
const HEALTH: &str = "0.0.0.0:13133";

/// Runs until it is stopped. `--config=FILE` names the configuration.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let problem = |problem: String| SampleError::Argument { applet: "otel-collector", problem };
    let file = file(arguments).map_err(problem)?;
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if file == FILE && error.kind() == std::io::ErrorKind::NotFound => {
            config::DEFAULT.to_owned()
        }
        Err(error) => return Err(problem(format!("{file}: {error}"))),
    };
    let config = Config::parse(&text).map_err(|wrong| problem(format!("{file}: {wrong}")))?;
    let (grpc, http, health) = (config.grpc.clone(), config.http.clone(), config.health_check.clone());
    let routes = receive::routes(Arc::new(config));
    let mut open = Vec::new();
    for (endpoint, what) in [(grpc, "GRPC"), (http, "HTTP")] {
        let Some(endpoint) = endpoint else { continue };
        log(&format!("Starting {what} server\t{{\"endpoint\": \"{endpoint}\"}}"));
        open.push((address(&endpoint).map_err(problem)?, routes.clone()));
    }
    if let Some(endpoint) = health {
        let endpoint = if endpoint.is_empty() { HEALTH.to_owned() } else { endpoint };
        let answer = || async { "{\"status\":\"Server available\"}" };
        let routes = Router::new().fallback(get(answer));
        open.push((address(&endpoint).map_err(problem)?, routes));
    }
    for (address, routes) in open {
        let listener = listen_at(address).await?;
        tokio::spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped()).await });
    }
    log("Everything is ready. Begin running and processing data.");
    stopped().await;
    Ok(())
}

/// A line of the log.
fn log(text: &str) {
    println!("{}\tinfo\t{text}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ"));
}

fn file(arguments: &[String]) -> Result<String, String> {
    let mut file = FILE.to_owned();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let flag = argument.trim_start_matches('-');
        let (name, attached) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if name != "config" {
            return Err(format!("{argument:?} is not served by this program; it knows --config"));
        }
        let value = attached.or_else(|| rest.next().map(String::as_str));
        let value = value.ok_or_else(|| "--config wants a file".to_owned())?;
        value.strip_prefix("file:").unwrap_or(value).clone_into(&mut file);
    }
    Ok(file)
}

/// `0.0.0.0:4317`, `:4317` or `localhost:4317`; names of pods mean all addresses.
fn address(endpoint: &str) -> Result<std::net::SocketAddr, String> {
    let wrong = || format!("endpoint {endpoint:?} is no address with a port");
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let host = match host.trim_matches(['[', ']']) {
        "localhost" => "127.0.0.1",
        "" => "0.0.0.0",
        host if host.starts_with("${") => "0.0.0.0",
        host => host,
    };
    Ok((host.parse::<std::net::IpAddr>().map_err(|_| wrong())?, port).into())
}

#[cfg(test)]
mod tests;
