//! Another version of the program takes over a cluster.
//!
//! The node's pods are processes below the daemon, and what they run is its program: they end with it and start again, as on a node that
//! is restarted. Everything in the API server stays.

use std::path::PathBuf;

use super::{LaunchOptions, LauncherError, RunningCluster, StateDirectory, start, stop};

/// The daemon's flag for a user namespace.
const USER_NAMESPACE: &str = "--user-namespace";

pub(super) fn renew(cluster: &RunningCluster) -> Result<RunningCluster, LauncherError> {
    let arguments = arguments(cluster.process_id)?;
    if !arguments.iter().any(|argument| argument == crate::run::DAEMON) {
        return Err(LauncherError::Foreground { process_id: cluster.process_id });
    }
    let directory = StateDirectory::resolve(Some(cluster.state_directory.clone()))?;
    stop::stop(&directory)?;
    start::ensure_running(&LaunchOptions {
        state_directory: Some(cluster.state_directory.clone()),
        user_namespace: arguments.iter().any(|argument| argument == USER_NAMESPACE),
        api_port: Some(cluster.api_address.port()),
        ..LaunchOptions::default()
    })
}

/// What a process was started with; nothing for one that is gone.
fn arguments(process: u32) -> Result<Vec<String>, LauncherError> {
    let path = PathBuf::from(format!("/proc/{process}/cmdline"));
    match std::fs::read(&path) {
        Ok(line) => {
            Ok(line.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect())
        }
        Err(source) => Err(LauncherError::File { action: "read", path, source }),
    }
}
