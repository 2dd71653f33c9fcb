//! The process outside: takes the lock, enters the namespaces that its child will live in, and passes signals on.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getegid, geteuid};

use super::node_process::NodeOptions;
use super::requirements::{self, NamespacePlan};
use super::{NODE, RunError, RunOptions};
use crate::launcher::{Lock, LockError, StartReport, StateDirectory, process_start_time};

/// Whoever only looks whether the lock is held holds it for an instant, or until a busy machine lets him go on.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Who is told how the start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporting {
    /// Sentences on standard error.
    People,
    /// One line of JSON on standard output.
    Launcher,
}

impl Reporting {
    /// Tells of a start that failed.
    pub(crate) fn failed(self, error: &RunError) {
        match self {
            Self::People => super::say(&format!("Error: {}", error.chain())),
            Self::Launcher => {
                super::say(&error.chain());
                self.print(&StartReport::Failed(error.chain()));
            }
        }
    }

    /// Tells the launcher; people are told by the caller.
    pub(crate) fn print(self, report: &StartReport) {
        if self == Self::Launcher
            && let Ok(line) = serde_json::to_string(report)
        {
            use std::io::Write;
            // A launcher that has gone away is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}

/// Runs until the node ends.
pub(super) fn run(options: &RunOptions, reporting: Reporting) -> ExitCode {
    match supervise(options, reporting) {
        Ok(code) => code,
        Err(error) => {
            reporting.failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn supervise(options: &RunOptions, reporting: Reporting) -> Result<ExitCode, RunError> {
    let directory = StateDirectory::resolve(options.state_directory.clone())?;
    directory.create()?;
    let _lock = take_lock(&directory)?;
    let plan = requirements::plan(options.user_namespace)?;
    let process_id = std::process::id();
    let node = NodeOptions {
        state_directory: directory.path().to_owned(),
        api_port: options.api_port,
        rootless: plan.user,
        launcher_waits: reporting == Reporting::Launcher,
        process_id,
        process_start_time: process_start_time(process_id).unwrap_or(0),
    };
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD];
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block().map_err(RunError::system("block signals"))?;
    enter_namespaces(plan)?;
    let mut child = spawn_node(&node)?;
    wait(&mut child, &signals)
}

fn take_lock(directory: &StateDirectory) -> Result<Lock, RunError> {
    let path = directory.lock_file();
    Lock::take_within(&path, LOCK_PATIENCE).map_err(|error| match error {
        LockError::Held => RunError::AlreadyRunning(directory.path().display().to_string()),
        LockError::File(source) => RunError::System { action: format!("lock {}", path.display()), source },
    })
}

/// Enters all namespaces but the network's: the node makes that one itself, when it has a thread that stays outside.
fn enter_namespaces(plan: NamespacePlan) -> Result<(), RunError> {
    if plan.user {
        // Read before: inside, both are the overflow id until the maps are written.
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| RunError::Missing {
            what: "a user namespace",
            remedy: format!(
                "the kernel refuses it ({}); run as root, or outside of a container",
                errno.desc()
            ),
        })?;
        write_map("setgroups", "deny")?;
        write_map("uid_map", &format!("0 {user} 1"))?;
        write_map("gid_map", &format!("0 {group} 1"))?;
    }
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(flags).map_err(|errno| {
        let remedy = if plan.user && requirements::apparmor_restricts() {
            requirements::APPARMOR_REMEDY.to_owned()
        } else {
            format!(
                "the kernel refuses namespaces ({}); run outside of a container, or give it more privileges",
                errno.desc()
            )
        };
        RunError::Missing { what: "a namespace of its own", remedy }
    })
}

fn write_map(file: &str, text: &str) -> Result<(), RunError> {
    std::fs::write(format!("/proc/self/{file}"), text).map_err(|source| {
        if source.kind() == std::io::ErrorKind::PermissionDenied && requirements::apparmor_restricts() {
            return RunError::Missing {
                what: "a user namespace",
                remedy: requirements::APPARMOR_REMEDY.to_owned(),
            };
        }
        RunError::System { action: format!("write /proc/self/{file}"), source }
    })
}

fn spawn_node(options: &NodeOptions) -> Result<Child, RunError> {
    let program = std::env::current_exe().map_err(RunError::system("find this program's file"))?;
    let arguments = serde_json::to_string(options).map_err(RunError::system("describe the node"))?;
    Command::new(program)
        .args(["cluster", NODE, &arguments])
        // The node reads from it for no other purpose than to see this process end.
        .stdin(Stdio::piped())
        // Ctrl-C in a terminal reaches the supervisor alone, which asks the node to stop.
        .process_group(0)
        .spawn()
        .map_err(RunError::system("start the node's process"))
}

/// Until the child has ended; its exit code.
fn wait(child: &mut Child, signals: &SigSet) -> Result<ExitCode, RunError> {
    loop {
        match signals.wait().map_err(RunError::system("wait for signals"))? {
            Signal::SIGCHLD => {
                if let Some(status) = child.try_wait().map_err(RunError::system("wait for the node"))? {
                    if let Some(signal) = status.signal() {
                        super::say(&format!("the node's process was ended by signal {signal}"));
                    }
                    return Ok(status
                        .code()
                        .and_then(|code| u8::try_from(code).ok())
                        .map_or(ExitCode::FAILURE, ExitCode::from));
                }
            }
            _ => stop(child),
        }
    }
}

fn stop(child: &Child) {
    if let Ok(process) = i32::try_from(child.id()) {
        // It cannot have been reused: the child has not been waited for.
        let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
    }
}
