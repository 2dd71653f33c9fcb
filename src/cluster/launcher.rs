//! Starting, finding, stopping and removing the embedded cluster of this user, from another process.
//!
//! One cluster lives in one state directory. The daemon holds a lock on a file there for as long as it lives, so "is it running?"
//! is answered by the kernel and not by a process id that may have been reused.

pub(crate) mod daemon_log;
mod error;
mod kubeconfig;
mod lock;
mod record;
mod renew;
mod start;
mod state_directory;
mod stop;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::LauncherError;
pub(crate) use kubeconfig::{port as kubeconfig_port, write as write_kubeconfig};
pub(crate) use lock::{Lock, LockError};
pub(crate) use record::{ClusterRecord, process_start_time};
pub(crate) use start::StartReport;
pub use state_directory::StateDirectory;

/// Name of the context, cluster and user in the embedded cluster's kubeconfig.
pub const CONTEXT: &str = "sagene-embedded";

/// How to find or start the cluster.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// Where the cluster keeps everything. `None`: `$SAGENE_HOME`, else `$XDG_STATE_HOME/sagene`, else `~/.local/state/sagene`.
    pub state_directory: Option<PathBuf>,
    /// Use a user namespace even as root.
    pub user_namespace: bool,
    /// Port of the API server on 127.0.0.1. `None`: the one it had before if it is free, else any free port.
    pub api_port: Option<u16>,
    /// How long to wait until the API answers. Default: two minutes, for machines that are busy with everything else; a daemon that ends is not
    /// waited for.
    pub timeout: Duration,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            state_directory: None,
            user_namespace: false,
            api_port: None,
            timeout: Duration::from_secs(120),
        }
    }
}

/// A cluster whose API server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningCluster {
    /// The kubeconfig with the one context [`CONTEXT`].
    pub kubeconfig_path: PathBuf,
    /// Always [`CONTEXT`].
    pub context: String,
    /// Where the API server listens, on the machine's loopback.
    pub api_address: SocketAddr,
    /// Process id of the daemon.
    pub process_id: u32,
    /// The state directory.
    pub state_directory: PathBuf,
    /// The daemon's log.
    pub log_path: PathBuf,
    /// Version of the program that the daemon is, and that its pods run; empty where it is earlier than 0.2.0.
    pub version: String,
    /// Whether this call started it.
    pub started: bool,
}

/// What a state directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterStatus {
    /// No cluster was ever started here, or it was purged.
    Absent,
    /// State is kept, but no daemon runs.
    Stopped,
    /// A daemon holds the lock but does not serve yet.
    Starting,
    /// The API server listens.
    Running(RunningCluster),
}

/// Returns the running cluster, starting it first if there is none. Blocks, at most for `options.timeout`.
///
/// The daemon is this same executable, run as `cluster run`; it outlives the caller.
pub fn ensure_running(options: &LaunchOptions) -> Result<RunningCluster, LauncherError> {
    start::ensure_running(options)
}

/// What runs in the state directory (`None`: the default one). Starts nothing.
pub fn status(state_directory: Option<PathBuf>) -> Result<ClusterStatus, LauncherError> {
    let directory = StateDirectory::resolve(state_directory)?;
    start::status(&directory)
}

/// Has this program run a cluster that another version of it runs: the daemon ends with every pod, and starts again with the objects that
/// it kept, on the same port. Blocks, at most about three minutes.
///
/// # Errors
/// [`LauncherError::Foreground`] where somebody runs it in a terminal; those of stopping and of starting.
pub fn renew(cluster: &RunningCluster) -> Result<RunningCluster, LauncherError> {
    renew::renew(cluster)
}

/// Stops the cluster and every pod in it; its objects stay. Returns whether one ran. Blocks, at most about 40 s.
pub fn stop(state_directory: Option<PathBuf>) -> Result<bool, LauncherError> {
    stop::stop(&StateDirectory::resolve(state_directory)?)
}

/// Stops the cluster and removes everything it kept. Returns whether there was anything.
pub fn purge(state_directory: Option<PathBuf>) -> Result<bool, LauncherError> {
    stop::purge(&StateDirectory::resolve(state_directory)?)
}

/// Path of the kubeconfig if the state directory has one, for commands that look for a cluster. Starts nothing.
pub fn kubeconfig_path(state_directory: Option<PathBuf>) -> Option<PathBuf> {
    let directory = StateDirectory::resolve(state_directory).ok()?;
    Some(directory.kubeconfig()).filter(|path| path.exists())
}
