//! The lock that says whether a daemon lives. The kernel drops it with the last process that holds the file open.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const POLL: Duration = Duration::from_millis(2);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// A daemon lives.
    #[error("another process holds the lock")]
    Held,
    /// The file cannot be opened or locked.
    #[error("the lock file cannot be used")]
    File(#[source] std::io::Error),
}

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock without waiting.
    pub(crate) fn try_take(path: &Path) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(LockError::File)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held),
            Err((_, errno)) => Err(LockError::File(errno.into())),
        }
    }

    /// Takes the lock, waiting up to `patience` for others who hold it or only look whether it is held.
    pub(crate) fn take_within(path: &Path, patience: Duration) -> Result<Self, LockError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::try_take(path) {
                Err(LockError::Held) if Instant::now() < deadline => std::thread::sleep(POLL),
                result => return result,
            }
        }
    }

    /// Whether somebody holds it now; `false` where there is no lock file.
    pub(crate) fn is_held(path: &Path) -> Result<bool, LockError> {
        if !path.exists() {
            return Ok(false);
        }
        match Self::try_take(path) {
            Ok(_) => Ok(false),
            Err(LockError::Held) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
