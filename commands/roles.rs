//! Roles that serve until they are stopped, and what containers call: told apart by the first argument or the program's name,
//! before the CLI's grammar is built.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli;
use crate::exit::{Exit, Outcome};

/// `sagene proxy …`, with the proxy's own flags only.
#[derive(Debug, Parser)]
#[command(name = "sagene proxy", about = "Run a proxy")]
struct Proxy {
    #[command(flatten)]
    arguments: sagene_proxy::run::ProxyArguments,
}

/// Runs a role if the command line names one; `None` leaves it to the CLI.
pub(crate) fn run(arguments: &[OsString]) -> Option<ExitCode> {
    let program = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    if program == Some("pilot-agent") {
        return role("pilot-agent", &arguments[1..]);
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
        "proxy" => Some(proxy(arguments.to_vec())),
        // The container istio-init calls the program by the name of Istio's tool.
        "istio-iptables" => {
            Some(proxy([OsString::from("init")].into_iter().chain(arguments.iter().cloned()).collect()))
        }
        _ => None,
    }
}

fn proxy(arguments: Vec<OsString>) -> ExitCode {
    let named = std::iter::once(OsString::from("sagene proxy")).chain(arguments);
    match Proxy::try_parse_from(named) {
        Ok(proxy) => sagene_proxy::run::run(proxy.arguments),
        Err(error) => cli::usage(&error),
    }
}
