//! `cluster run|start|stop|status`: the embedded cluster of this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sagene_cluster::launcher::{self, ClusterStatus, LaunchOptions, RunningCluster};
use sagene_cluster::run::{self, RunOptions};
use serde_json::json;

use crate::exit::{self, Exit, Outcome};
use crate::output::{self, View};

#[derive(Debug, Args)]
pub(crate) struct ClusterCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Run the cluster in the foreground until it is told to stop
    Run(Run),
    /// Start the cluster in the background, unless it runs
    Start(Run),
    /// Stop the cluster and every pod in it; its objects stay, unless --purge
    Stop {
        /// Remove everything it kept
        #[arg(long)]
        purge: bool,
        /// Where the cluster keeps everything
        #[arg(long, value_name = "DIRECTORY")]
        state_directory: Option<PathBuf>,
    },
    /// Say whether the cluster runs
    Status {
        /// Where the cluster keeps everything
        #[arg(long, value_name = "DIRECTORY")]
        state_directory: Option<PathBuf>,
        /// Format: short, json, yaml
        #[arg(short, long, default_value = "short")]
        output: View,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Where the cluster keeps everything; default $SAGENE_HOME or ~/.local/state/sagene
    #[arg(long, value_name = "DIRECTORY")]
    state_directory: Option<PathBuf>,
    /// Use a user namespace even as root
    #[arg(long)]
    user_namespace: bool,
    /// Port of the API server on 127.0.0.1; default the one it had before, else any free port
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
}

impl ClusterCommand {
    /// Runs before any thread exists, which `run` needs.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Subcommands::Run(run) => run::run(&RunOptions {
                state_directory: run.state_directory,
                user_namespace: run.user_namespace,
                api_port: run.api_port,
            }),
            other => exit::report(other.manage()),
        }
    }
}

impl Subcommands {
    fn manage(self) -> Outcome {
        match self {
            Self::Run(options) | Self::Start(options) => {
                let cluster = launcher::ensure_running(&LaunchOptions {
                    state_directory: options.state_directory,
                    user_namespace: options.user_namespace,
                    api_port: options.api_port,
                    ..LaunchOptions::default()
                })?;
                let begin = if cluster.started { "Started" } else { "Already running:" };
                output::line(&format!("{begin} the embedded cluster at https://{}", cluster.api_address));
                output::line(&format!("export KUBECONFIG={}", cluster.kubeconfig_path.display()));
                if cluster.version != env!("CARGO_PKG_VERSION") {
                    let hint = "`sagene install` has this one run it; its pods restart, its objects stay";
                    output::progress(&format!("warning: {} runs it: {hint}", version_of(&cluster)));
                }
            }
            Self::Stop { purge, state_directory } => {
                let stopped =
                    if purge { launcher::purge(state_directory)? } else { launcher::stop(state_directory)? };
                output::line(match (stopped, purge) {
                    (true, true) => "Stopped the embedded cluster and removed its state",
                    (true, false) => "Stopped the embedded cluster; its objects are kept",
                    (false, true) => "Nothing to remove",
                    (false, false) => "No embedded cluster is running",
                });
            }
            Self::Status { state_directory, output } => return status(state_directory, output),
        }
        Ok(Exit::Success)
    }
}

/// Which program runs a cluster.
pub(crate) fn version_of(cluster: &RunningCluster) -> String {
    match cluster.version.as_str() {
        "" => "an earlier version of this program".to_owned(),
        version => format!("version {version} of this program"),
    }
}

/// Prints the state; 0 when the cluster runs, 1 otherwise.
fn status(state_directory: Option<PathBuf>, view: View) -> Outcome {
    let status = launcher::status(state_directory)?;
    let (word, running) = match &status {
        ClusterStatus::Absent => ("absent", None),
        ClusterStatus::Stopped => ("stopped", None),
        ClusterStatus::Starting => ("starting", None),
        ClusterStatus::Running(cluster) => ("running", Some(cluster)),
    };
    let mut report = json!({"status": word});
    if let Some(RunningCluster {
        kubeconfig_path,
        context,
        api_address,
        process_id,
        state_directory,
        log_path,
        version,
        ..
    }) = running
    {
        report["api"] = json!(format!("https://{api_address}"));
        report["context"] = json!(context);
        report["kubeconfig"] = json!(kubeconfig_path);
        report["process"] = json!(process_id);
        report["state"] = json!(state_directory);
        report["log"] = json!(log_path);
        if !version.is_empty() {
            report["version"] = json!(version);
        }
    }
    match view {
        View::Json => output::data(&output::to_json(&report)?),
        View::Short | View::Yaml => output::data(&output::to_yaml(&report)?),
    }
    Ok(if running.is_some() { Exit::Success } else { Exit::Failure })
}
