//! The `sagene` binary: parse, build the context, run one command, exit with its code.

mod archive;
mod cli;
mod context;
mod exit;
mod fetch;
mod files;
mod kubernetes;
mod output;
mod roles;
mod runtime;
mod unified_diff;

mod admin;
mod analyze;
mod bug_report;
mod cluster;
mod completion;
mod console;
mod control_plane;
mod dashboard;
mod experimental;
mod explain;
mod install;
mod kube_inject;
mod kubectl;
mod manifest;
mod multicluster;
mod profile;
mod proxy_config;
mod proxy_status;
mod tag;
mod uninstall;
mod validate;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The embedded cluster's own processes come first: they must find the process as the kernel made it.
    if let Some(code) = sagene_cluster::run::internal_entry(&arguments) {
        return code;
    }
    // Long-running roles have their own flags and none of the CLI's; they are told apart first.
    if let Some(code) = roles::run(&arguments) {
        return code;
    }
    match cli::parse(arguments) {
        Ok(cli) => exit::report(cli.run()),
        Err(code) => code,
    }
}
