//! What the API server reaches in running pods: logs, commands, attached streams, ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use socket2::Socket;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::agent::NodeAgent;
use super::container_spec::ProgramSpec;
use super::container_state::{ContainerRecord, State};
use super::logs::{self, ContainerLog, OutputStream};
use super::pod::PodContext;
use super::process::{self, Process, Streams};
use super::standard_input::StandardInput;
use super::terminal::Terminal;
use crate::pod_runtime::{
    ExecExit, ExecOptions, ExecSession, LogOptions, LogStream, NodeUsage, PodRuntime, PodRuntimeError,
    PortStream, TerminalSize,
};

/// Sizes a terminal may be behind.
const RESIZE_QUEUE: usize = 4;
/// Bytes between an attached container and its reader.
const ATTACH_BUFFER_BYTES: usize = 64 << 10;

impl PodRuntime for NodeAgent {
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, PodRuntimeError>> {
        async move { self.open_log(namespace, pod, container, options) }.boxed()
    }

    fn exec<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>> {
        async move {
            let (_, record) = self.find(namespace, pod, container)?;
            let (Some(container_process), Some(program)) = (record.process, record.program) else {
                return Err(PodRuntimeError::BadState(format!("container not running ({container})")));
            };
            if options.command.is_empty() {
                return Err(PodRuntimeError::BadState(
                    "you must specify at least one command for the container".to_owned(),
                ));
            }
            let program = ProgramSpec { arguments: options.command.clone(), ..(*program).clone() };
            if options.tty {
                self.exec_on_terminal(container_process, program, &options)
            } else {
                self.exec_on_pipes(container_process, &program, &options)
            }
        }
        .boxed()
    }

    fn attach<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>> {
        async move {
            let (pod, record) = self.find(namespace, pod, container)?;
            let log = record.log.filter(|_| record.process.is_some());
            let log =
                log.ok_or_else(|| PodRuntimeError::BadState(format!("container not running ({container})")))?;
            if options.stdin && record.input.is_none() {
                let message =
                    format!("container {container} has no standard input: set stdin: true, or use exec");
                return Err(PodRuntimeError::BadState(message));
            }
            let mut session = attach_to(pod, container.to_owned(), &log, &options);
            if let Some(input) = record.input.filter(|_| options.stdin) {
                attach_input(&input, &mut session);
            }
            Ok(session)
        }
        .boxed()
    }

    fn usage(&self) -> Option<NodeUsage> {
        self.samples().usage()
    }

    fn port_forward<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn PortStream>, PodRuntimeError>> {
        async move {
            let context = self.pod(namespace, pod).ok_or_else(|| not_found(pod))?;
            let stream = connect(&context, port).await.map_err(|error| {
                PodRuntimeError::Internal(format!(
                    "failed to connect to localhost:{port} inside namespace {namespace:?} of pod {pod:?}: {error}"
                ))
            })?;
            Ok(Box::new(stream) as Box<dyn PortStream>)
        }
        .boxed()
    }
}

fn not_found(pod: &str) -> PodRuntimeError {
    PodRuntimeError::NotFound(format!("pod {pod:?} does not run on this node"))
}

fn internal(error: impl ToString) -> PodRuntimeError {
    PodRuntimeError::Internal(error.to_string())
}

impl NodeAgent {
    fn find(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<(Arc<PodContext>, ContainerRecord), PodRuntimeError> {
        let context = self.pod(namespace, pod).ok_or_else(|| not_found(pod))?;
        let missing =
            || PodRuntimeError::NotFound(format!("container {container} is not valid for pod {pod}"));
        let record = context.board.get(container).ok_or_else(missing)?;
        Ok((context, record))
    }

    fn open_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: LogOptions,
    ) -> Result<LogStream, PodRuntimeError> {
        let (context, record) = self.find(namespace, pod, container)?;
        let folder = context.log_folder(container);
        if options.previous {
            let missing = || {
                let message = format!("previous terminated container {container:?} in pod {pod:?} not found");
                PodRuntimeError::BadState(message)
            };
            // A container that waits to be started again has its count raised already, but no log of the next run.
            let started = record.log.as_ref().is_some_and(|log| log.run() == record.restart_count);
            let run = if started {
                record.restart_count.checked_sub(1)
            } else {
                record.restart_count.checked_sub(2)
            };
            let run = run.ok_or_else(missing)?;
            return logs::read(&folder, run, None, options).map_err(|_| missing());
        }
        let run = match &record.log {
            Some(log) => log.run(),
            // Ran under an earlier daemon, or not at all.
            None => record.restart_count.saturating_sub(1),
        };
        logs::read(&folder, run, record.log, options).map_err(|_| {
            let reason = match record.state {
                State::Waiting { reason, .. } => reason,
                _ => "ContainerCreating",
            };
            let message = format!("container {container:?} in pod {pod:?} is waiting to start: {reason}");
            PodRuntimeError::BadState(message)
        })
    }

    fn exec_on_pipes(
        &self,
        container: i32,
        program: &ProgramSpec,
        options: &ExecOptions,
    ) -> Result<ExecSession, PodRuntimeError> {
        let streams = Streams { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr };
        let mut command =
            process::start_beside(&self.node().reaper, container, program, streams).map_err(internal)?;
        let (stdin, stdout, stderr) = (command.stdin.take(), command.stdout.take(), command.stderr.take());
        Ok(ExecSession {
            stdin: stdin.map(|stream| Box::pin(stream) as _),
            stdout: stdout.map(|stream| Box::pin(stream) as _),
            stderr: stderr.map(|stream| Box::pin(stream) as _),
            resize: None,
            exit: watch_exit(command),
        })
    }

    fn exec_on_terminal(
        &self,
        container: i32,
        program: ProgramSpec,
        options: &ExecOptions,
    ) -> Result<ExecSession, PodRuntimeError> {
        let (terminal, peer) = Terminal::open_in(container).map_err(internal)?;
        let mut program = ProgramSpec { terminal: true, ..program };
        if !program.environment.iter().any(|(name, _)| name == "TERM") {
            program.environment.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        let command =
            process::start_on_terminal(&self.node().reaper, container, &program, peer).map_err(internal)?;
        let (resize, mut sizes) = mpsc::channel::<TerminalSize>(RESIZE_QUEUE);
        let resized = terminal.clone();
        sagene_base::task::spawn("terminal-size", async move {
            while let Some(size) = sizes.recv().await {
                resized.resize(size);
            }
        });
        Ok(ExecSession {
            stdin: options.stdin.then(|| Box::pin(terminal.clone()) as _),
            stdout: Some(Box::pin(terminal)),
            stderr: None,
            resize: Some(resize),
            exit: watch_exit(command),
        })
    }
}

/// Reports the command's end; ends the command when nobody waits for it any more.
fn watch_exit(command: Process) -> oneshot::Receiver<ExecExit> {
    let (mut sender, receiver) = oneshot::channel();
    sagene_base::task::spawn("exec", async move {
        let id = command.id;
        let mut exit = command.exit;
        let exit = tokio::select! {
            exit = &mut exit => exit,
            () = sender.closed() => {
                process::send_signal(id, Signal::SIGKILL);
                return;
            }
        };
        let _ = sender.send(match exit {
            Ok(exit) => ExecExit::Code(exit.code),
            Err(_) => ExecExit::Failed("the command's end was not seen".to_owned()),
        });
    });
    receiver
}

/// Lets a session write the container's standard input, and resize its terminal.
fn attach_input(input: &Arc<StandardInput>, session: &mut ExecSession) {
    let (client, container_end) = tokio::io::duplex(ATTACH_BUFFER_BYTES);
    let fed = input.clone();
    sagene_base::task::spawn("attach-input", async move { fed.feed(container_end).await });
    session.stdin = Some(Box::pin(client));
    let (resize, mut sizes) = mpsc::channel::<TerminalSize>(RESIZE_QUEUE);
    let resized = input.clone();
    sagene_base::task::spawn("terminal-size", async move {
        while let Some(size) = sizes.recv().await {
            resized.resize(size);
        }
    });
    session.resize = Some(resize);
}

fn attach_to(
    pod: Arc<PodContext>,
    container: String,
    log: &ContainerLog,
    options: &ExecOptions,
) -> ExecSession {
    let (output, mut output_writer) = tokio::io::duplex(ATTACH_BUFFER_BYTES);
    let (errors, mut errors_writer) = tokio::io::duplex(ATTACH_BUFFER_BYTES);
    let mut live = log.attach();
    let (sender, exit) = oneshot::channel();
    sagene_base::task::spawn("attach", async move {
        use tokio::io::AsyncWriteExt;
        let copy = async {
            loop {
                let written = match live.recv().await {
                    Ok((OutputStream::Stdout, bytes)) => output_writer.write_all(&bytes).await,
                    Ok((OutputStream::Stderr, bytes)) => errors_writer.write_all(&bytes).await,
                    Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                if written.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = copy => {}
            () = pod.board.wait_for(&container, |record| record.process.is_none()) => {}
        }
        let code = match pod.board.get(&container).map(|record| record.state) {
            Some(State::Terminated(end)) => end.exit_code,
            _ => 0,
        };
        let _ = sender.send(ExecExit::Code(code));
    });
    ExecSession {
        stdin: None,
        stdout: options.stdout.then(|| Box::pin(output) as _),
        stderr: options.stderr.then(|| Box::pin(errors) as _),
        resize: None,
        exit,
    }
}

async fn connect(pod: &PodContext, port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let sandbox = pod.sandbox().ok_or_else(|| std::io::Error::other("the pod is not running"))?;
    let Some(network) = sandbox.namespaces().network().cloned() else {
        return TcpStream::connect(address).await;
    };
    let made = tokio::task::spawn_blocking(move || {
        network.socket(nix::libc::AF_INET, nix::libc::SOCK_STREAM, nix::libc::IPPROTO_TCP)
    });
    let socket = made.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other)?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}
