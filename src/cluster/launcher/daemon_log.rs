//! The daemon's log: appended to, and moved aside once it has grown, so that a disk holds two of its limits at most.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LauncherError, StateDirectory};

/// Larger logs are moved to `daemon.log.1`, whose content goes.
const LIMIT_BYTES: u64 = 10 << 20;
/// Between two looks at its size.
const LOOK: Duration = Duration::from_secs(10);

/// Opens the log for a daemon that is about to start.
pub(super) fn open(directory: &StateDirectory) -> Result<File, LauncherError> {
    let path = directory.log();
    if has_grown(&path) {
        std::fs::rename(&path, aside(&path)).map_err(LauncherError::file("rename", &path))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(LauncherError::file("write", &path))
}

/// Keeps the log of a daemon that runs within its limit; never returns.
pub(crate) async fn keep_small(directory: StateDirectory) {
    let path = directory.log();
    loop {
        tokio::time::sleep(LOOK).await;
        if has_grown(&path)
            && let Err(error) = empty(&path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot empty the log");
        }
    }
}

fn has_grown(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > LIMIT_BYTES)
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Copies the log aside and empties it in place: the daemon's processes have it open, and append to what is there.
fn empty(path: &Path) -> io::Result<()> {
    let aside = aside(path);
    if let Err(error) = std::fs::copy(path, &aside) {
        // A full disk, of which the log may be the reason.
        tracing::warn!(path = %aside.display(), %error, "what the log said so far is lost");
        let _ = std::fs::remove_file(&aside);
    }
    OpenOptions::new().write(true).truncate(true).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_that_has_grown_is_moved_aside_under_its_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = StateDirectory::resolve(Some(folder.path().to_owned())).expect("a directory");
        let mut log = open(&directory).expect("a log");
        log.write_all(b"first\n").expect("written");
        assert!(!has_grown(&directory.log()));
        log.set_len(LIMIT_BYTES + 1).expect("a longer file");
        assert!(has_grown(&directory.log()));
        empty(&directory.log()).expect("emptied");
        log.write_all(b"second\n").expect("written");
        assert_eq!(std::fs::read(directory.log()).expect("the log"), b"second\n");
        assert!(std::fs::read(aside(&directory.log())).expect("what was").starts_with(b"first\n"));
    }
}
