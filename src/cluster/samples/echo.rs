//! `app` of Istio's test images: a server whose answers tell what reached it, by HTTP, gRPC, WebSocket and TCP, and the program `client` that
//! calls it and prints what it is told.

mod client;
mod counters;
mod fields;
mod flags;
mod forward;
mod grpc;
mod http;
mod server;
mod tcp;

use super::SampleError;

/// Serves until it is stopped.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let settings =
        flags::parse(arguments).map_err(|problem| SampleError::Argument { applet: "echo", problem })?;
    server::run(settings).await
}

/// Runs the client; its exit code is 0 where every request succeeded.
pub(super) async fn run_client(arguments: &[String]) -> i32 {
    client::run(arguments).await
}

/// A line of the log, as Istio's programs write them.
fn log(text: &str) {
    println!("{}\tinfo\t{text}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"));
}

#[cfg(test)]
mod tests;
