//! What `sagene proxy …` was asked to do: the roles of the proxy binary and their flags.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::agent::{AgentArguments, NodeType};
use crate::capture::{self, InitArguments};

/// Flags of `sagene proxy`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProxyArguments {
    /// Run on a static Envoy bootstrap file (YAML or JSON), with no control plane
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Traffic threads with --config; one per core when 0
    #[arg(long, default_value_t = 0, requires = "config")]
    pub concurrency: usize,
    /// What this proxy is
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// The roles of a proxy.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Role {
    /// Carry the traffic of one pod
    Sidecar(AgentArguments),
    /// Carry traffic into or out of the mesh (gateway)
    Router(AgentArguments),
    /// Write the packet-filter rules that bring a pod's traffic to its proxy, and end
    Init(InitArguments),
}

/// Does what was asked and returns when that is done; for a proxy, when it was told to stop and has drained.
pub fn run(arguments: ProxyArguments) -> ExitCode {
    let outcome = match (arguments.role, arguments.config) {
        (Some(Role::Sidecar(agent)), _) => crate::agent::run(NodeType::Sidecar, agent).map_err(report),
        (Some(Role::Router(agent)), _) => crate::agent::run(NodeType::Router, agent).map_err(report),
        (Some(Role::Init(init)), _) => capture::run(&init).map_err(report),
        (None, Some(config)) => crate::agent::run_static(&config, arguments.concurrency).map_err(report),
        (None, None) => {
            Err("say what to run: sidecar, router, init, or --config FILE with a static Envoy bootstrap"
                .to_owned())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("Error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The whole chain of an error in one line.
fn report(error: impl std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}
