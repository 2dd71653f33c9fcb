//! The program `pilot-agent`, as which this binary is also found: what scripts and probes in a pod call.
//!
//! `pilot-agent request GET config_dump` asks the proxy's admin server, `pilot-agent wait` waits until the proxy is
//! ready, `pilot-agent proxy …` and `pilot-agent istio-iptables …` are the proxy's roles under Istio's names.

mod request;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::capture::InitArguments;
use crate::run::{ProxyArguments, Role};

/// The command line of `pilot-agent`.
#[derive(Debug, Clone, Parser)]
#[command(name = "pilot-agent", version, about = "Istio's proxy agent, as part of Sagene")]
pub struct PilotAgent {
    #[command(subcommand)]
    command: Command,
}

/// What `pilot-agent` can do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make an HTTP request to the proxy's admin server
    Request(request::RequestArguments),
    /// Wait until the proxy is ready
    Wait(wait::WaitArguments),
    /// Run the proxy
    Proxy(ProxyArguments),
    /// Write the packet-filter rules of this pod
    #[command(name = "istio-iptables")]
    IstioIptables(InitArguments),
    /// Print the version
    Version,
}

/// Entry for a binary that was called as `pilot-agent`; `arguments` starts with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match PilotAgent::try_parse_from(arguments) {
        Ok(parsed) => run_command(parsed.command),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}

/// Does one command.
pub fn run_command(command: Command) -> ExitCode {
    let as_json = matches!(&command, Command::Request(arguments) if arguments.log_as_json);
    let outcome = match command {
        Command::Request(arguments) => request::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Proxy(arguments) => return crate::run::run(arguments),
        Command::IstioIptables(init) => {
            return crate::run::run(ProxyArguments {
                config: None,
                concurrency: 0,
                role: Some(Role::Init(init)),
            });
        }
        Command::Version => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", problem(&message, as_json));
            ExitCode::FAILURE
        }
    }
}

/// An error for people, or as a line of a log in JSON.
fn problem(message: &str, as_json: bool) -> String {
    if as_json {
        let time = jiff::Timestamp::now().to_string();
        return serde_json::json!({"level": "error", "time": time, "msg": message}).to_string();
    }
    format!("Error: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_of_errors_in_json_where_that_is_wanted() {
        let parsed = PilotAgent::try_parse_from(["pilot-agent", "request", "GET", "stats", "--log_as_json"]);
        assert!(
            matches!(parsed.expect("parsed").command, Command::Request(arguments) if arguments.log_as_json)
        );
        let line: serde_json::Value = serde_json::from_str(&problem("no", true)).expect("JSON");
        assert_eq!((&line["level"], &line["msg"]), (&"error".into(), &"no".into()));
        assert_eq!(problem("no", false), "Error: no");
    }
}
