//! `sagene control-plane`: the control plane's role, with the flags of istiod's `discovery` that the installation sets.

mod request;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use sagene_base::logging::{LogFormat, LogTarget, LoggingOptions};
use sagene_control::{ControlPlaneOptions, Ports, ScopesPort};

use crate::context::Source;
use crate::exit::{self, Exit, Failure, Outcome};
pub(crate) use request::request;

/// Flags of the role.
#[derive(Debug, Args)]
pub(crate) struct ControlPlaneArguments {
    /// DNS domain of the cluster
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// Address of readiness and of debug views for this host
    #[arg(long = "httpAddr", default_value = ":8080", value_name = "HOST:PORT")]
    http: String,
    /// Address of discovery without TLS
    #[arg(long = "grpcAddr", default_value = ":15010", value_name = "HOST:PORT")]
    grpc: String,
    /// Address of discovery over TLS
    #[arg(long = "secureGRPCAddr", default_value = ":15012", value_name = "HOST:PORT")]
    secure_grpc: String,
    /// Address of metrics and debug views
    #[arg(long = "monitoringAddr", default_value = ":15014", value_name = "HOST:PORT")]
    monitoring: String,
    /// Address of the webhooks
    #[arg(long = "httpsAddr", default_value = ":15017", value_name = "HOST:PORT")]
    webhook: String,
    /// Port of ControlZ on the loopback address; 0 for none
    #[arg(long = "ctrlz_port", default_value_t = 9876, value_name = "PORT")]
    ctrlz_port: u16,
    /// Kubeconfig to use instead of the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Log levels: LEVEL or SCOPE:LEVEL, comma-separated
    #[arg(long = "log_output_level", default_value = "default:info")]
    log_output_level: String,
    /// Log in JSON
    #[arg(long = "log_as_json")]
    log_as_json: bool,
}

impl ControlPlaneArguments {
    /// Runs the control plane until it is told to stop.
    pub(crate) fn run(self) -> ExitCode {
        exit::report(self.serve())
    }

    fn serve(self) -> Outcome {
        let log = sagene_base::logging::init(&LoggingOptions {
            levels: self.log_output_level.clone(),
            target: LogTarget::Stdout,
            format: if self.log_as_json { LogFormat::Json } else { LogFormat::Text },
        })?;
        let mut options = self.options()?;
        options.scopes =
            (self.ctrlz_port != 0).then(|| ScopesPort { port: self.ctrlz_port, log: Arc::new(log) });
        sagene_base::threads::available()
            .map_err(|error| Failure::from(error).context("cannot start a thread"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::from(error).context("cannot start the asynchronous runtime"))?;
        let source = Source::of_server(self.kubeconfig.as_deref())?;
        let cluster = runtime.block_on(source.config())?;
        runtime.block_on(sagene_control::run(options, cluster))?;
        Ok(Exit::Success)
    }

    fn options(&self) -> Result<ControlPlaneOptions, Failure> {
        let mut options = ControlPlaneOptions::from_environment(|name| std::env::var(name).ok())?;
        options.domain.clone_from(&self.domain);
        options.version = env!("CARGO_PKG_VERSION").to_owned();
        options.ports = Ports {
            http: port("--httpAddr", &self.http)?,
            grpc: port("--grpcAddr", &self.grpc)?,
            secure_grpc: port("--secureGRPCAddr", &self.secure_grpc)?,
            monitoring: port("--monitoringAddr", &self.monitoring)?,
            webhook: port("--httpsAddr", &self.webhook)?,
        };
        let host = self.grpc.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        if !host.is_empty() {
            options.address = host
                .parse()
                .map_err(|_| Failure::usage(format!("--grpcAddr {host:?} is not an IP address")))?;
        }
        Ok(options)
    }
}

fn port(flag: &str, address: &str) -> Result<u16, Failure> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.ok_or_else(|| Failure::usage(format!("{flag} {address:?} is not [HOST]:PORT")))
}
