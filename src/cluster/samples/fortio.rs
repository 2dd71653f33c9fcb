//! `fortio`: the load generator of Istio's tutorials, as far as they use it: `load` over HTTP and gRPC, `curl`, `grpcping` and the echo
//! `server` it tests against.

mod arguments;
mod connection;
mod grpc;
mod histogram;
mod http;
mod load;
mod server;

pub(super) use server::health_service;

use super::SampleError;
use arguments::Options;

/// Runs one command line and returns its exit code. Without a command it serves, as the image does.
pub(super) async fn run(arguments: &[String]) -> Result<i32, SampleError> {
    let (command, rest) =
        arguments.split_first().map_or(("server", arguments), |(first, rest)| (first.as_str(), rest));
    let options = match Options::parse(rest) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("fortio: {problem}");
            return Ok(1);
        }
    };
    let done = match command {
        "load" => load::run(&options).await,
        "curl" => http::curl(&options).await,
        "grpcping" => grpc::ping(&options).await,
        "server" => return server::run(&options).await.map(|()| 0),
        "version" => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        other => Err(format!(
            "unknown command {other:?}; this small fortio has load, curl, grpcping, server, version"
        )),
    };
    Ok(match done {
        Ok(()) => 0,
        Err(problem) => {
            eprintln!("fortio: {problem}");
            1
        }
    })
}
