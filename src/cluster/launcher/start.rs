//! Finding the running cluster, or starting the daemon and waiting for its one-line report.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::record::ClusterRecord;
use super::{
    CONTEXT, ClusterStatus, LaunchOptions, LauncherError, Lock, LockError, RunningCluster, StateDirectory,
    daemon_log,
};

/// Between two looks at a daemon that another process is starting.
const POLL: Duration = Duration::from_millis(10);

/// What the daemon says on its standard output when asked to report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StartReport {
    /// The API server listens; see `cluster.json`.
    Ready,
    /// It gave up; a message for people.
    Failed(String),
}

pub(super) fn status(directory: &StateDirectory) -> Result<ClusterStatus, LauncherError> {
    if !lock_is_held(directory)? {
        let kept = directory.api_server().exists();
        return Ok(if kept { ClusterStatus::Stopped } else { ClusterStatus::Absent });
    }
    Ok(match ClusterRecord::read(&directory.record()).filter(ClusterRecord::is_alive) {
        Some(record) => ClusterStatus::Running(running(directory, &record, false)),
        None => ClusterStatus::Starting,
    })
}

pub(super) fn ensure_running(options: &LaunchOptions) -> Result<RunningCluster, LauncherError> {
    let directory = StateDirectory::resolve(options.state_directory.clone())?;
    directory.create()?;
    let deadline = Instant::now() + options.timeout;
    loop {
        match status(&directory)? {
            ClusterStatus::Running(cluster) => return check_port(cluster, options),
            ClusterStatus::Starting if Instant::now() >= deadline => {
                return Err(LauncherError::Timeout { timeout: options.timeout, log: directory.log() });
            }
            ClusterStatus::Starting => thread::sleep(POLL),
            ClusterStatus::Absent | ClusterStatus::Stopped => {
                if let Some(cluster) = start(&directory, options, deadline)? {
                    return Ok(cluster);
                }
            }
        }
    }
}

fn check_port(cluster: RunningCluster, options: &LaunchOptions) -> Result<RunningCluster, LauncherError> {
    match options.api_port {
        Some(wanted) if wanted != cluster.api_address.port() => {
            Err(LauncherError::OtherPort { running: cluster.api_address.port(), wanted })
        }
        _ => Ok(cluster),
    }
}

/// Starts the daemon. `None`: another process was faster, look again.
fn start(
    directory: &StateDirectory,
    options: &LaunchOptions,
    deadline: Instant,
) -> Result<Option<RunningCluster>, LauncherError> {
    let mut daemon = spawn(directory, options)?;
    let report = daemon.stdout.take().and_then(|output| read_report(output, deadline));
    match report {
        Some(StartReport::Ready) => {
            let record = ClusterRecord::read(&directory.record());
            Ok(record.map(|record| running(directory, &record, true)))
        }
        Some(StartReport::Failed(_)) if lock_is_held(directory)? => Ok(None),
        Some(StartReport::Failed(message)) => Err(LauncherError::Failed { message, log: directory.log() }),
        None => match daemon.try_wait() {
            Ok(Some(exit)) => Err(LauncherError::Failed {
                message: format!("its process ended with {exit}"),
                log: directory.log(),
            }),
            _ => Err(LauncherError::Timeout { timeout: options.timeout, log: directory.log() }),
        },
    }
}

fn spawn(directory: &StateDirectory, options: &LaunchOptions) -> Result<Child, LauncherError> {
    let program = std::env::current_exe().map_err(LauncherError::Executable)?;
    let log = daemon_log::open(directory)?;
    let mut command = Command::new(program);
    command.args(["cluster", crate::run::DAEMON]).arg("--state-directory").arg(directory.path());
    if options.user_namespace {
        command.arg("--user-namespace");
    }
    if let Some(port) = options.api_port {
        command.arg("--api-port").arg(port.to_string());
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    command.spawn().map_err(LauncherError::Spawn)
}

/// Waits for the daemon's line; `None` when it ended or was silent until the deadline. No thread is needed for it, which a full process
/// table would not give.
fn read_report(mut output: ChildStdout, deadline: Instant) -> Option<StartReport> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    while !line.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return None,
        }
        match output.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => line.extend_from_slice(&buffer[..count]),
        }
    }
    serde_json::from_slice(&line).ok()
}

fn running(directory: &StateDirectory, record: &ClusterRecord, started: bool) -> RunningCluster {
    RunningCluster {
        kubeconfig_path: directory.kubeconfig(),
        context: CONTEXT.to_owned(),
        api_address: record.api_address,
        process_id: record.process_id,
        state_directory: directory.path().to_owned(),
        log_path: directory.log(),
        version: record.version.clone(),
        started,
    }
}

/// Whether a daemon lives, or the node of one that was killed a moment ago.
pub(super) fn lock_is_held(directory: &StateDirectory) -> Result<bool, LauncherError> {
    for path in [directory.lock_file(), directory.node_lock_file()] {
        match Lock::is_held(&path) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(LockError::File(source)) => return Err(LauncherError::File { action: "lock", path, source }),
            Err(LockError::Held) => return Ok(true),
        }
    }
    Ok(false)
}
