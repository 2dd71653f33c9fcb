//! The processes a cluster consists of, told apart by the second argument. Not for people.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::supervisor::Reporting;
use super::{CONTAINER, DAEMON, EXEC, NODE, RunOptions, node_process, supervisor};
use crate::node::container_process;

/// Runs one of the cluster's own processes if the command line (with the program's name first) says `cluster internal-…`.
///
/// The binary calls this before anything else: threads or open files of its own would leak into containers.
pub fn internal_entry(arguments: &[OsString]) -> Option<ExitCode> {
    if arguments.get(1)? != "cluster" {
        return None;
    }
    let rest = arguments.get(3..).unwrap_or_default();
    match arguments.get(2)?.to_str()? {
        DAEMON => Some(daemon(rest)),
        NODE => Some(node_process::run(rest)),
        CONTAINER => Some(container_process::run(rest)),
        EXEC => Some(container_process::run_exec(rest)),
        _ => None,
    }
}

fn daemon(arguments: &[OsString]) -> ExitCode {
    let mut options = RunOptions::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--state-directory") => options.state_directory = arguments.next().map(PathBuf::from),
            Some("--user-namespace") => options.user_namespace = true,
            Some("--api-port") => {
                options.api_port = arguments.next().and_then(|port| port.to_str()?.parse().ok());
            }
            _ => {
                eprintln!("sagene: unknown argument {argument:?}");
                return ExitCode::from(2);
            }
        }
    }
    // Away from the terminal and the process group of whoever asked for the cluster. Fails only for a group leader.
    let _ = nix::unistd::setsid();
    supervisor::run(&options, Reporting::Launcher)
}
