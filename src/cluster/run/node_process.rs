//! The node as PID 1 of its namespaces: mounts of its own, a network namespace of its own, one thread left in the machine's.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use serde::{Deserialize, Serialize};

use super::supervisor::Reporting;
use super::{RunError, daemon, limits};
use crate::launcher::{Lock, LockError, StateDirectory};
use crate::network::{self, HostNetwork};

/// A node that was killed is gone within this, with everything that ran on it.
const PREDECESSOR_WAIT: Duration = Duration::from_secs(30);

/// What the supervisor decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeOptions {
    pub(crate) state_directory: PathBuf,
    pub(crate) api_port: Option<u16>,
    /// In a user namespace with a single user.
    pub(crate) rootless: bool,
    /// Report on standard output.
    pub(crate) launcher_waits: bool,
    /// The supervisor as seen from outside.
    pub(crate) process_id: u32,
    pub(crate) process_start_time: u64,
}

/// The node once its process is set up.
pub(crate) struct NodeProcess {
    pub(crate) options: NodeOptions,
    pub(crate) directory: StateDirectory,
    pub(crate) host_network: HostNetwork,
    /// The machine has IPv6, so that the cluster may.
    pub(crate) machine_has_ipv6: bool,
    pub(crate) reporting: Reporting,
    /// Held as long as the process lives.
    pub(crate) _lock: Lock,
}

/// Entry of the process. Returns when the cluster was asked to stop, or cannot run.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let options = arguments.first().and_then(|text| serde_json::from_str::<NodeOptions>(text.to_str()?).ok());
    let Some(options) = options else {
        eprintln!("sagene: `cluster {}` is started by `sagene cluster run` alone", super::NODE);
        return ExitCode::from(2);
    };
    let reporting = if options.launcher_waits { Reporting::Launcher } else { Reporting::People };
    match prepare(options, reporting).and_then(daemon::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            reporting.failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn prepare(options: NodeOptions, reporting: Reporting) -> Result<NodeProcess, RunError> {
    // The supervisor blocks signals to wait for them, and its children inherit that.
    SigSet::all().thread_unblock().map_err(RunError::system("unblock signals"))?;
    end_with_supervisor()?;
    initialize_logging();
    limits::raise_open_files()?;
    let directory = StateDirectory::resolve(Some(options.state_directory.clone()))?;
    let lock =
        Lock::take_within(&directory.node_lock_file(), PREDECESSOR_WAIT).map_err(|error| match error {
            LockError::Held => RunError::AlreadyRunning(directory.path().display().to_string()),
            LockError::File(source) => RunError::System { action: "lock the node".to_owned(), source },
        })?;
    nix::unistd::sethostname("sagene").map_err(RunError::system("set the node's host name"))?;
    make_mounts(&directory)?;
    let host_network = HostNetwork::start().map_err(RunError::system("start the host network's thread"))?;
    let machine_has_ipv6 = network::machine_has_ipv6();
    unshare(CloneFlags::CLONE_NEWNET).map_err(RunError::system("make the node's network namespace"))?;
    Ok(NodeProcess { options, directory, host_network, machine_has_ipv6, reporting, _lock: lock })
}

/// The kernel's signal comes with the parent's death; the pipe also covers a parent that died before the signal was asked for.
fn end_with_supervisor() -> Result<(), RunError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(RunError::system("tie the node to its supervisor"))?;
    std::thread::Builder::new()
        .name("supervisor-watch".to_owned())
        .spawn(|| {
            let mut buffer = [0; 1];
            while nix::unistd::read(std::io::stdin().as_fd(), &mut buffer).is_ok_and(|bytes| bytes > 0) {}
            std::process::exit(1);
        })
        .map(drop)
        .map_err(RunError::system("watch the supervisor"))
}

fn initialize_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SAGENE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A log that cannot be written, as on a full disk, must not end the threads that write it.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false);
    // Only a second initialization fails, and the first one then serves.
    let _ = subscriber.try_init();
}

fn make_mounts(directory: &StateDirectory) -> Result<(), RunError> {
    let none = None::<&str>;
    // Nothing that is mounted here may be seen outside.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(RunError::system("make the node's mounts private"))?;
    let proc_flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), proc_flags, none).map_err(|errno| RunError::Missing {
        what: "a /proc of its own",
        remedy: format!(
            "mounting it is refused ({}), as in a container whose /proc is masked; run outside of the container, or let it see all of /proc",
            errno.desc()
        ),
    })?;
    let node = directory.node();
    std::fs::create_dir_all(&node).map_err(RunError::system(format!("create {}", node.display())))?;
    mount(Some("tmpfs"), &node, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0755"))
        .map_err(RunError::system(format!("mount a tmpfs on {}", node.display())))?;
    // Containers see copies of the machine's directories; this one must not be copied into them again and again.
    mount(none, &node, none, MsFlags::MS_UNBINDABLE, none)
        .map_err(RunError::system("hide the node's tmpfs from containers"))?;
    for folder in ["bin", "root", "containers", "volumes"] {
        let path = node.join(folder);
        std::fs::create_dir(&path).map_err(RunError::system(format!("create {}", path.display())))?;
    }
    keep_program(directory, &node.join("bin/sagene"))
}

/// Binds a file of this program that only this cluster knows, so that containers start although the one it was started from is
/// replaced or removed meanwhile: the kernel binds no file without a name.
fn keep_program(directory: &StateDirectory, target: &Path) -> Result<(), RunError> {
    let program = std::env::current_exe().map_err(RunError::system("find this program's file"))?;
    let (kept, fresh) = (directory.program(), directory.program().with_extension("new"));
    let _absent = std::fs::remove_file(&fresh);
    // A copy where a link cannot be: another file system, or another owner's file.
    let made = std::fs::hard_link(&program, &fresh)
        .or_else(|_| std::fs::copy(&program, &fresh).map(drop))
        .and_then(|()| std::fs::rename(&fresh, &kept));
    if let Err(error) = made {
        // A part of it would only take the room that is missing.
        let _absent = std::fs::remove_file(&fresh);
        if kept.exists() {
            tracing::warn!(%error, "containers run an older file of this program");
        } else {
            return Err(RunError::system(format!("keep {} as {}", program.display(), kept.display()))(error));
        }
    }
    std::fs::write(target, []).map_err(RunError::system(format!("create {}", target.display())))?;
    mount(Some(&kept), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(RunError::system(format!("bind {}", kept.display())))
}
