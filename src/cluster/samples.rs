//! The sample applications of Istio's tutorials, and the small servers that other tutorials share, built in: an image of theirs runs
//! as an applet of this binary.
//!
//! They answer at the same paths with the same JSON as the originals, so that a tutorial's YAML and its `curl` lines work without an
//! image pull. They know nothing of the mesh; like the originals they only pass tracing headers on.

mod bookinfo;
mod collector;
mod config_reloader;
mod curl;
mod echo;
mod ext_authz;
mod fortio;
mod greeting;
mod grpc;
mod headers;
mod helloworld;
mod httpbin;
mod image;
mod jwt_server;
mod netcat;
mod nginx;
mod prometheus;
mod ratelimit;
mod redis;
mod serve;
mod squid;
mod tcp_echo;
mod tls;
mod tornado;

pub use image::{Sample, by_image};

/// Programs that the originals are, by applet: tutorials end one by its name, as in `pkill ruby`.
const ORIGINAL_PROGRAMS: [(&str, &str); 4] = [
    ("bookinfo-details", "ruby"),
    ("bookinfo-productpage", "python"),
    ("bookinfo-ratings", "node"),
    ("bookinfo-reviews", "java"),
];

/// Why an applet ended.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No applet of that name.
    #[error("there is no sample {name:?}; the samples are {}", image::APPLETS.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// An argument cannot be used.
    #[error("{applet}: {problem}")]
    Argument {
        /// The applet.
        applet: &'static str,
        /// What is wrong and what is wanted.
        problem: String,
    },
    /// A port cannot be listened on.
    #[error("listening on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Serving broke off.
    #[error("serving")]
    Serve(#[source] std::io::Error),
}

/// Runs an applet until it is told to stop, or done. Returns the process's exit code.
///
/// # Errors
/// An unknown name, unusable arguments, a port that is taken.
pub async fn run(name: &str, arguments: &[String]) -> Result<i32, SampleError> {
    // Clients may speak TLS; the provider is the product's only one and may be installed already.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Some((_, program)) = ORIGINAL_PROGRAMS.iter().find(|(applet, _)| *applet == name) {
        // It runs as well under its own name.
        let _unnamed = std::fs::write("/proc/self/comm", program);
    }
    match name {
        "bookinfo-productpage" => bookinfo::productpage::run(arguments).await?,
        "bookinfo-details" => bookinfo::details::run(arguments).await?,
        "bookinfo-mongodb" => bookinfo::mongodb::run(arguments).await?,
        "bookinfo-reviews" => bookinfo::reviews::run(arguments).await?,
        "bookinfo-ratings" => bookinfo::ratings::run(arguments).await?,
        "config-reloader" => config_reloader::run(arguments).await?,
        "echo" => echo::run(arguments).await?,
        "echo-client" => return Ok(echo::run_client(arguments).await),
        "ext-authz" => ext_authz::run(arguments).await?,
        "health" => greeting::health(arguments).await?,
        "hello-app" => greeting::hello_app(arguments).await?,
        "http-echo" => greeting::http_echo(arguments).await?,
        "helloworld" => helloworld::run(arguments).await?,
        "httpbin" => httpbin::run(arguments).await?,
        "ratelimit" => ratelimit::run(arguments).await?,
        "redis" => redis::run(arguments).await?,
        "tcp-echo" => tcp_echo::run(arguments).await?,
        "tornado" => tornado::run(arguments).await?,
        "jwt-server" => jwt_server::run(arguments).await?,
        "otel-collector" => collector::run(arguments).await?,
        "nginx" => nginx::run(arguments).await?,
        "prometheus" => return prometheus::run(arguments).await,
        "squid" => squid::run(arguments).await?,
        "gunicorn" => httpbin::run_by_gunicorn(arguments).await?,
        "fortio" => return fortio::run(arguments).await,
        "redis-cli" => return Ok(redis::run_cli(arguments).await),
        "nc" => return Ok(netcat::run(arguments).await),
        "curl" => return Ok(curl::run(arguments).await),
        "sleep" => serve::stopped().await,
        other => return Err(SampleError::Unknown { name: other.to_owned() }),
    }
    Ok(0)
}
