//! Starting processes inside a pod's namespaces.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::container_spec::{PROGRAM_PATH, ProgramSpec};
use super::reaper::{ProcessExit, Reaper};
use crate::network::PodNamespaces;
use crate::run;

/// A process that was started.
pub(crate) struct Process {
    /// As the node sees it.
    pub(crate) id: i32,
    /// Its end.
    pub(crate) exit: oneshot::Receiver<ProcessExit>,
    /// Present when asked for.
    pub(crate) stdin: Option<pipe::Sender>,
    pub(crate) stdout: Option<pipe::Receiver>,
    pub(crate) stderr: Option<pipe::Receiver>,
}

/// Which standard streams are pipes; the others are `/dev/null`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl Streams {
    fn configure(self, command: &mut Command) {
        let stdio = |piped| if piped { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdio(self.stdin)).stdout(stdio(self.stdout)).stderr(stdio(self.stderr));
    }
}

/// What a container's standard streams are.
pub(crate) enum StandardStreams {
    /// Pipes or `/dev/null`.
    Pipes(Streams),
    /// All three are this terminal, which becomes the controlling one.
    Terminal(OwnedFd),
}

/// Starts a container's first process with mounts and process ids of its own, or with the process ids of the container whose first
/// process is `beside`.
pub(crate) fn start_container(
    reaper: &Reaper,
    namespaces: &PodNamespaces,
    program_file: &Path,
    specification: &Path,
    streams: StandardStreams,
    beside: Option<i32>,
) -> io::Result<Process> {
    let child = on_new_thread(|| {
        namespaces.enter()?;
        match beside {
            Some(process) => {
                setns(File::open(format!("/proc/{process}/ns/pid"))?, CloneFlags::CLONE_NEWPID)?;
                unshare(CloneFlags::CLONE_NEWNS)?;
            }
            None => unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?,
        }
        let mut command = Command::new(program_file);
        command.args(["cluster", run::CONTAINER]).arg(specification).env_clear();
        match streams {
            StandardStreams::Pipes(streams) => {
                command.process_group(0);
                streams.configure(&mut command);
            }
            // It makes a session, which a group's leader may not.
            StandardStreams::Terminal(terminal) => {
                command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
            }
        }
        command.spawn()
    })?;
    adopt(reaper, child)
}

/// Starts a command beside the container whose first process is `container`.
pub(crate) fn start_beside(
    reaper: &Reaper,
    container: i32,
    program: &ProgramSpec,
    streams: Streams,
) -> io::Result<Process> {
    let child = spawn_inside(container, program, |command| {
        streams.configure(command);
        // A group of its own; on a terminal the command makes a session instead, which a group's leader may not.
        command.process_group(0);
        Ok(())
    })?;
    adopt(reaper, child)
}

/// As [`start_beside`], with all three standard streams on a terminal, which becomes the command's controlling one.
pub(crate) fn start_on_terminal(
    reaper: &Reaper,
    container: i32,
    program: &ProgramSpec,
    terminal: OwnedFd,
) -> io::Result<Process> {
    let child = spawn_inside(container, program, |command| {
        command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
        Ok(())
    })?;
    adopt(reaper, child)
}

fn spawn_inside(
    container: i32,
    program: &ProgramSpec,
    configure: impl FnOnce(&mut Command) -> io::Result<()> + Send,
) -> io::Result<Child> {
    let argument = serde_json::to_string(program).map_err(io::Error::other)?;
    on_new_thread(|| {
        enter_container(container)?;
        let mut command = Command::new(PROGRAM_PATH);
        command.args(["cluster", run::EXEC, &argument]).env_clear();
        configure(&mut command)?;
        command.spawn()
    })
}

/// Moves the calling thread into all namespaces of a container. Children it starts get the container's process ids.
pub(crate) fn enter_container(container: i32) -> io::Result<()> {
    let open = |name: &str| File::open(format!("/proc/{container}/ns/{name}"));
    let (mounts, processes) = (open("mnt")?, open("pid")?);
    let (network, host_name, communication) = (open("net")?, open("uts")?, open("ipc")?);
    // Only a thread with a root directory of its own may change its mounts.
    unshare(CloneFlags::CLONE_FS)?;
    setns(network, CloneFlags::CLONE_NEWNET)?;
    setns(host_name, CloneFlags::CLONE_NEWUTS)?;
    setns(communication, CloneFlags::CLONE_NEWIPC)?;
    setns(processes, CloneFlags::CLONE_NEWPID)?;
    setns(mounts, CloneFlags::CLONE_NEWNS)?;
    Ok(())
}

/// Runs a function on a thread that ends with it, so that the namespaces it enters are left again.
pub(crate) fn on_new_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("namespaces".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
    })
}

fn adopt(reaper: &Reaper, mut child: Child) -> io::Result<Process> {
    let id = i32::try_from(child.id()).map_err(io::Error::other)?;
    let exit = reaper.exit_of(id);
    let reader = |stream: Option<OwnedFd>| stream.map(pipe::Receiver::from_owned_fd).transpose();
    Ok(Process {
        id,
        exit,
        stdin: child.stdin.take().map(|stream| pipe::Sender::from_owned_fd(stream.into())).transpose()?,
        stdout: reader(child.stdout.take().map(Into::into))?,
        stderr: reader(child.stderr.take().map(Into::into))?,
    })
}

/// Sends a signal; a process that has just ended is no error.
pub(crate) fn send_signal(process: i32, signal: Signal) {
    if let Err(error) = kill(Pid::from_raw(process), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(process, %signal, %error, "cannot signal a process");
    }
}
