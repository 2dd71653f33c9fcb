//! `sagene cluster run`: the embedded cluster as processes.
//!
//! ```text
//! supervisor      outside, single-threaded; holds the state directory's lock, passes signals on
//! └─ node         PID 1 of its own namespaces: API server, controllers, node agent, cluster DNS
//!    └─ pods      each with namespaces of its own
//! ```
//!
//! The machine's network and mounts are never changed. When the supervisor ends, however that happens, the kernel kills the node,
//! and with a PID namespace's first process every process, network namespace, interface and mount in it goes.

mod daemon;
mod error;
mod internal;
mod limits;
mod node_process;
mod requirements;
mod supervisor;

use std::path::PathBuf;
use std::process::ExitCode;

pub use error::RunError;
pub use internal::internal_entry;

/// First word behind `cluster` with which the launcher starts a daemon.
pub(crate) const DAEMON: &str = "internal-daemon";
/// First word behind `cluster` with which the supervisor starts the node.
pub(crate) const NODE: &str = "internal-node";
/// First word behind `cluster` with which the node starts a container.
pub(crate) const CONTAINER: &str = "internal-container";
/// First word behind `cluster` with which the node starts a command inside a container.
pub(crate) const EXEC: &str = "internal-exec";

/// How to run the cluster.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where the cluster keeps everything. `None`: as [`crate::launcher::LaunchOptions::state_directory`].
    pub state_directory: Option<PathBuf>,
    /// Use a user namespace even as root.
    pub user_namespace: bool,
    /// Port of the API server on 127.0.0.1. `None`: the one it had before if it is free, else any free port.
    pub api_port: Option<u16>,
}

/// A line for people or for the daemon's log. Where that is full or gone there is nothing better to do than to go on.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs the cluster in the foreground until it is told to stop (SIGTERM or SIGINT). Messages go to standard error.
///
/// Must be called before the process starts any thread: only a single-threaded process may enter a user namespace.
pub fn run(options: &RunOptions) -> ExitCode {
    supervisor::run(options, supervisor::Reporting::People)
}
