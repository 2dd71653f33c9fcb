//! Waits for every child of the node process, which is PID 1 and so inherits orphans too.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Ends of processes nobody has asked for yet; more are orphans, which nobody will.
const MAX_UNCLAIMED: usize = 1024;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessExit {
    /// Its exit code, or 128 + the signal's number.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<i32, oneshot::Sender<ProcessExit>>,
    unclaimed: HashMap<i32, ProcessExit>,
}

/// Knows when children end. No child of this process may be waited for in any other way.
#[derive(Clone, Debug)]
pub(crate) struct Reaper {
    table: Arc<Mutex<Table>>,
}

impl Reaper {
    /// Starts reaping; needs a runtime.
    pub(crate) fn start() -> io::Result<Self> {
        let mut signals = signal(SignalKind::child())?;
        let reaper = Self { table: Arc::default() };
        let own = reaper.clone();
        sagene_base::task::spawn("reaper", async move {
            while signals.recv().await.is_some() {
                own.reap();
            }
        });
        Ok(reaper)
    }

    /// The end of a child, which may have come already.
    pub(crate) fn exit_of(&self, process: i32) -> oneshot::Receiver<ProcessExit> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match table.unclaimed.remove(&process) {
            Some(exit) => drop(sender.send(exit)),
            None => drop(table.waiting.insert(process, sender)),
        }
        receiver
    }

    fn reap(&self) {
        loop {
            let (process, exit) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(process, code)) => (process, ProcessExit { code, signal: None }),
                Ok(WaitStatus::Signaled(process, signal, _)) => {
                    (process, ProcessExit { code: 128 + signal as i32, signal: Some(signal as i32) })
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot wait for child processes");
                    return;
                }
            };
            self.record(process.as_raw(), exit);
        }
    }

    fn record(&self, process: i32, exit: ProcessExit) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match table.waiting.remove(&process) {
            // Whoever asked may have lost interest.
            Some(waiting) => drop(waiting.send(exit)),
            None => {
                if table.unclaimed.len() >= MAX_UNCLAIMED {
                    table.unclaimed.clear();
                }
                table.unclaimed.insert(process, exit);
            }
        }
    }
}
