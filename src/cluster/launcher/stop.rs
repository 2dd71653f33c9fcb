//! Ending the daemon, and removing what it kept.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::record::ClusterRecord;
use super::start::lock_is_held;
use super::{LauncherError, StateDirectory};

/// Pods get their grace period within this; then the daemon is killed, and the kernel ends everything with it.
const GRACE: Duration = Duration::from_secs(35);
/// From SIGKILL to the lock being free, or from the lock being held to the record of who holds it.
const KILL_WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

pub(super) fn stop(directory: &StateDirectory) -> Result<bool, LauncherError> {
    if !lock_is_held(directory)? {
        remove_record(directory)?;
        return Ok(false);
    }
    let Some(process) = holder(directory)? else { return Ok(true) };
    signal(process, Signal::SIGTERM);
    if !wait_until_free(directory, GRACE)? {
        // Only while the record still names the very same process.
        if ClusterRecord::read(&directory.record()).is_some_and(|record| record.is_alive()) {
            signal(process, Signal::SIGKILL);
        }
        if !wait_until_free(directory, KILL_WAIT)? {
            return Err(LauncherError::DoesNotEnd { process_id: process });
        }
    }
    remove_record(directory)?;
    Ok(true)
}

/// The live daemon. `None` when it ended while it was looked for.
fn holder(directory: &StateDirectory) -> Result<Option<u32>, LauncherError> {
    let deadline = Instant::now() + KILL_WAIT;
    loop {
        match ClusterRecord::read(&directory.record()).filter(ClusterRecord::is_alive) {
            Some(record) => return Ok(Some(record.process_id)),
            None if !lock_is_held(directory)? => return Ok(None),
            // It may be starting just now.
            None if Instant::now() < deadline => thread::sleep(POLL),
            None => return Err(LauncherError::UnknownHolder { path: directory.lock_file() }),
        }
    }
}

fn signal(process: u32, signal: Signal) {
    if let Ok(process) = i32::try_from(process) {
        // A process that has just ended is what is wanted.
        let _ = kill(Pid::from_raw(process), signal);
    }
}

fn wait_until_free(directory: &StateDirectory, limit: Duration) -> Result<bool, LauncherError> {
    let deadline = Instant::now() + limit;
    while lock_is_held(directory)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
    Ok(true)
}

fn remove_record(directory: &StateDirectory) -> Result<(), LauncherError> {
    remove_if_there(&directory.record())
}

pub(super) fn purge(directory: &StateDirectory) -> Result<bool, LauncherError> {
    if !directory.path().exists() {
        return Ok(false);
    }
    refuse_strangers(directory)?;
    stop(directory)?;
    // The lock file goes last, so that a half-done purge is still known as a cluster's directory.
    for name in StateDirectory::NAMES.iter().rev() {
        remove_if_there(&directory.path().join(name))?;
    }
    for draft in ["cluster.json.new", "kubeconfig.new"] {
        remove_if_there(&directory.path().join(draft))?;
    }
    match std::fs::remove_dir(directory.path()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        // A mount point or a directory whose parent belongs to somebody else: emptied is all that can be done.
        Err(_) => Ok(true),
    }
}

fn refuse_strangers(directory: &StateDirectory) -> Result<(), LauncherError> {
    let entries =
        std::fs::read_dir(directory.path()).map_err(LauncherError::file("read", directory.path()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = StateDirectory::NAMES.contains(&name.as_str()) || name.ends_with(".new");
        if !known {
            return Err(LauncherError::NotOurs { path: directory.path().to_owned(), stranger: name });
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), LauncherError> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LauncherError::File { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
