//! Roles that serve until they are stopped, and what containers call: told apart by the first argument or the program's name,
//! before the CLI's grammar is built.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli;
use crate::exit::{self, Exit, Outcome};

/// `sagene proxy …`, with the proxy's own flags only.
#[derive(Debug, Parser)]
#[command(name = "sagene proxy", about = "Run a proxy")]
struct Proxy {
    #[command(flatten)]
    arguments: sagene_proxy::run::ProxyArguments,
}

/// `sagene control-plane …`.
#[derive(Debug, Parser)]
#[command(name = "sagene control-plane", about = "Run the control plane")]
struct ControlPlane {
    #[command(flatten)]
    arguments: crate::control_plane::ControlPlaneArguments,
}

/// `sagene cluster …`.
#[derive(Debug, Parser)]
#[command(
    name = "sagene cluster",
    about = "The embedded cluster of this machine",
    arg_required_else_help = true
)]
struct Cluster {
    #[command(flatten)]
    command: crate::cluster::ClusterCommand,
}

/// `sagene sample NAME …`.
#[derive(Debug, Parser)]
#[command(name = "sagene sample", about = "Run a sample application")]
struct Sample {
    /// Name of the sample
    name: String,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs a role if the command line names one; `None` leaves it to the CLI.
pub(crate) fn run(arguments: &[OsString]) -> Option<ExitCode> {
    let program = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    match program {
        Some(name @ ("pilot-agent" | "pilot-discovery")) => return role(name, &arguments[1..]),
        // Pods of an image with curl find this program by that name; what follows is curl's, `--help` too.
        Some(
            name @ ("curl" | "fortio" | "gunicorn" | "nc" | "nginx" | "ratelimit" | "redis-cli" | "sleep"
            | "squid"),
        ) => {
            return Some(run_sample(name, text_of(&arguments[1..])));
        }
        Some("client") => return Some(run_sample("echo-client", text_of(&arguments[1..]))),
        Some("server") => return Some(run_sample("echo", text_of(&arguments[1..]))),
        Some("redis-server") => return Some(run_sample("redis", text_of(&arguments[1..]))),
        Some("go-httpbin") => return Some(run_sample("httpbin", text_of(&arguments[1..]))),
        _ => {}
    }
    let name = arguments.get(1)?.to_str()?;
    role(name, &arguments[2..])
}

/// A role named after global flags: `sagene --color=never proxy …`.
pub(crate) fn after_globals(name: &str, arguments: Vec<OsString>) -> Outcome {
    match role(name, &arguments) {
        Some(code) if code == ExitCode::SUCCESS => Ok(Exit::Success),
        _ => Ok(Exit::Failure),
    }
}

fn role(name: &str, arguments: &[OsString]) -> Option<ExitCode> {
    match name {
        "cluster" => Some(parsed("sagene cluster", arguments, |cluster: Cluster| cluster.command.run())),
        "control-plane" => Some(control_plane(arguments)),
        // Istio's name of the control plane's program: `pilot-discovery discovery --domain …`, `pilot-discovery request GET …`.
        "pilot-discovery" => Some(pilot_discovery(arguments)),
        "sample" => Some(parsed("sagene sample", arguments, sample)),
        "proxy" => Some(proxy(arguments.to_vec())),
        "pilot-agent" => {
            let named = std::iter::once(OsString::from(name)).chain(arguments.iter().cloned());
            Some(sagene_proxy::pilot_agent::run(named))
        }
        // The container istio-init calls the program by the name of Istio's tool.
        "istio-iptables" => {
            Some(proxy([OsString::from("init")].into_iter().chain(arguments.iter().cloned()).collect()))
        }
        _ => None,
    }
}

fn control_plane(arguments: &[OsString]) -> ExitCode {
    parsed("sagene control-plane", arguments, |control: ControlPlane| control.arguments.run())
}

/// `discovery` serves; `request` asks the control plane of this container, as tools do by `kubectl exec`.
fn pilot_discovery(arguments: &[OsString]) -> ExitCode {
    match arguments.first().and_then(|first| first.to_str()) {
        Some("request") => {
            let text = text_of(&arguments[1..]);
            exit::report(crate::runtime::block_on(crate::control_plane::request(text)))
        }
        Some("discovery") => control_plane(&arguments[1..]),
        _ => control_plane(arguments),
    }
}

fn proxy(arguments: Vec<OsString>) -> ExitCode {
    parsed("sagene proxy", &arguments, |proxy: Proxy| sagene_proxy::run::run(proxy.arguments))
}

/// Parses a role's own flags and runs it.
fn parsed<P: Parser>(name: &str, arguments: &[OsString], run: impl FnOnce(P) -> ExitCode) -> ExitCode {
    let named = std::iter::once(OsString::from(name)).chain(arguments.iter().cloned());
    match P::try_parse_from(named) {
        Ok(role) => run(role),
        Err(error) => cli::usage(&error),
    }
}

fn sample(sample: Sample) -> ExitCode {
    run_sample(&sample.name, sample.arguments)
}

fn run_sample(name: &str, arguments: Vec<String>) -> ExitCode {
    exit::report(crate::runtime::block_on(async {
        if name == "jaeger" {
            crate::console::collect_traces().await?;
            return Ok(Exit::Success);
        }
        let code = sagene_cluster::samples::run(name, &arguments).await?;
        Ok(Exit::Program(u8::try_from(code).unwrap_or(1)))
    }))
}

fn text_of(arguments: &[OsString]) -> Vec<String> {
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}
