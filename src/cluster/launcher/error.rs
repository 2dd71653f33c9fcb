//! Why the embedded cluster could not be found, started, stopped or removed.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the launcher; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// Neither `SAGENE_HOME` nor `XDG_STATE_HOME` nor `HOME` says where state belongs.
    #[error("no place for the cluster's state: set SAGENE_HOME (or HOME) to an absolute path")]
    NoHome,
    /// The directory is relative or the root.
    #[error("the state directory {0} must be an absolute path below the root directory")]
    BadDirectory(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File {
        /// `create`, `read`, `write`, `remove`, `lock`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory holds files that no cluster wrote, so it is not removed.
    #[error(
        "{path} holds {stranger}, which is not the cluster's; nothing was removed: move it away or remove the directory yourself"
    )]
    NotOurs {
        /// The state directory.
        path: PathBuf,
        /// The unknown entry.
        stranger: String,
    },
    /// This executable cannot be found again.
    #[error("cannot find this program's own file to start the cluster with")]
    Executable(#[source] std::io::Error),
    /// The daemon could not be started as a process.
    #[error("cannot start the cluster's process")]
    Spawn(#[source] std::io::Error),
    /// The daemon ended with a message of its own.
    #[error("the cluster did not start: {message} (log: {log})")]
    Failed {
        /// What the daemon said.
        message: String,
        /// Its log.
        log: PathBuf,
    },
    /// The daemon did not answer in time.
    #[error("the cluster did not answer within {timeout:?}; its log is {log}; `sagene cluster stop` ends it")]
    Timeout {
        /// The wait.
        timeout: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// Somebody runs it in a terminal.
    #[error(
        "the cluster is run in the foreground by process {process_id}: end that and start it with this program (`sagene cluster run`)"
    )]
    Foreground {
        /// The process.
        process_id: u32,
    },
    /// A daemon runs that does not end.
    #[error(
        "the cluster's process {process_id} did not end; end it with `kill -9 {process_id}` and try again"
    )]
    DoesNotEnd {
        /// Its process id.
        process_id: u32,
    },
    /// The lock is held, but nobody says by whom.
    #[error("{path} is locked by a process that is not known; find it with `fuser {path}`")]
    UnknownHolder {
        /// The lock file.
        path: PathBuf,
    },
    /// A running cluster listens elsewhere than asked.
    #[error(
        "the cluster already runs with its API on port {running}, not {wanted}: stop it first (`sagene cluster stop`)"
    )]
    OtherPort {
        /// Where it listens.
        running: u16,
        /// What was asked.
        wanted: u16,
    },
}

impl LauncherError {
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
