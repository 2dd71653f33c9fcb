//! One container of a pod: started, probed, restarted with growing pauses, ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::command::{self, StartFailure};
use super::{PodContext, Stop, termination};
use crate::node::container_process::START_ERROR;
use crate::node::container_spec::{ContainerSpec, MountSpec, PROGRAM_PATH};
use crate::node::container_state::{State, Terminated};
use crate::node::events::EventKind;
use crate::node::logs::ContainerLog;
use crate::node::pod_spec::{Container, RestartPolicy};
use crate::node::probe::ProbeTarget;
use crate::node::prober::{Prober, Unhealthy};
use crate::node::process::{self, Process, StandardStreams, Streams};
use crate::node::reaper::ProcessExit;
use crate::node::standard_input::StandardInput;
use crate::node::terminal::Terminal;
use crate::pod_runtime::ByteReader;

/// Pauses between restarts: none, then 10 s, doubling up to 5 min; forgotten after 10 min of running.
const BACKOFF_START: Duration = Duration::from_secs(10);
const BACKOFF_LIMIT: Duration = Duration::from_secs(300);
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// Between attempts to find what a container's environment refers to.
const CONFIG_RETRY: Duration = Duration::from_secs(2);
/// Outputs are closed with the container's last process; more time than that is never needed.
const LOG_END_WAIT: Duration = Duration::from_secs(2);

/// Runs one container until it will not be started again.
pub(super) struct ContainerRunner {
    pub(super) pod: Arc<PodContext>,
    pub(super) container: Container,
    pub(super) restart_policy: RestartPolicy,
    pub(super) identity: Arc<[MountSpec]>,
    /// Asks this container to end. Separate from the pod's: sidecars end after the others, but hear of the pod's end with them.
    pub(super) stop: watch::Receiver<Option<Stop>>,
    /// Told, or dropped, when the hook after the first start is over: the pod's next container starts only then.
    pub(super) first_started: Option<oneshot::Sender<()>>,
}

/// A container that runs.
struct Running {
    id: i32,
    exit: oneshot::Receiver<ProcessExit>,
    started_at: Timestamp,
    specification: ContainerSpec,
    recording: JoinHandle<()>,
    target: ProbeTarget,
}

/// A process with the ends of its streams.
struct Spawned {
    process: Process,
    stdout: Option<ByteReader>,
    stderr: Option<ByteReader>,
    input: Option<StandardInput>,
}

/// The specification of a container that takes the terminal on its standard streams.
fn on_terminal(specification: &ContainerSpec) -> ContainerSpec {
    let mut specification = specification.clone();
    let program = &mut specification.program;
    program.terminal = true;
    if !program.environment.iter().any(|(name, _)| name == "TERM") {
        program.environment.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    specification
}

/// Waits until a container's first process has its own root directory: a command beside it would find the machine's. It has none for some
/// milliseconds at most; a process that ended meanwhile shows in the command.
async fn has_its_root(process: i32) {
    let program = format!("/proc/{process}/root{PROGRAM_PATH}");
    let pause = Duration::from_millis(5);
    for _ in 0..1000 {
        if std::path::Path::new(&program).exists()
            || !std::path::Path::new(&format!("/proc/{process}")).exists()
        {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

impl ContainerRunner {
    fn name(&self) -> &str {
        &self.container.name
    }

    /// Nothing is started in a pod that ends.
    fn is_asked_to_end(&self) -> bool {
        self.stop.borrow().is_some() || self.pod.is_stopping()
    }

    /// Returns the exit code of the last run; `None` when it was never started.
    pub(super) async fn run(mut self) -> Option<i32> {
        let mut last_code = None;
        let mut pause = Duration::ZERO;
        loop {
            if self.is_asked_to_end() {
                break;
            }
            let began = Instant::now();
            match self.start().await {
                Ok(running) => {
                    let code = self.supervise(running).await;
                    last_code = Some(code);
                    let again = match self.restart_policy {
                        RestartPolicy::Always => true,
                        RestartPolicy::OnFailure => code != 0,
                        RestartPolicy::Never => false,
                    };
                    if !again || self.is_asked_to_end() {
                        break;
                    }
                    if began.elapsed() >= BACKOFF_RESET {
                        pause = Duration::ZERO;
                    }
                    self.pod.board.update(self.name(), |record| record.restart_count += 1);
                    self.back_off(pause).await;
                    pause = next_pause(pause);
                }
                Err(failure) => {
                    let wait = if failure.reason == "ErrImagePull" {
                        pause.max(BACKOFF_START)
                    } else {
                        CONFIG_RETRY
                    };
                    self.cannot_start(&failure, wait).await;
                    pause = if failure.reason == "ErrImagePull" { next_pause(wait) } else { pause };
                }
            }
        }
        self.pod.board.update(self.name(), |record| record.finished = true);
        last_code
    }

    async fn cannot_start(&mut self, failure: &StartFailure, wait: Duration) {
        self.pod.events.container(
            EventKind::Warning,
            "Failed",
            &format!("Error: {}", failure.message),
            self.name(),
        );
        let message = failure.message.clone();
        self.pod
            .board
            .update(self.name(), |record| record.state = State::Waiting { reason: failure.reason, message });
        let stopped = self.wait(Duration::from_millis(500).min(wait)).await;
        if failure.reason == "ErrImagePull" && !stopped {
            let message = format!("Back-off pulling image {:?}: {}", self.container.image, failure.message);
            self.pod.board.update(self.name(), |record| {
                record.state = State::Waiting { reason: "ImagePullBackOff", message }
            });
        }
        if !stopped {
            self.wait(wait.saturating_sub(Duration::from_millis(500))).await;
        }
    }

    async fn back_off(&mut self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let (container, pod) = (self.name(), &self.pod);
        let message = format!(
            "back-off {} restarting failed container={container} pod={}_{}({})",
            go_duration(pause),
            pod.name,
            pod.namespace,
            pod.uid
        );
        pod.events.container(EventKind::Warning, "BackOff", &message, container);
        pod.board.update(container, |record| {
            record.state = State::Waiting { reason: "CrashLoopBackOff", message }
        });
        self.wait(pause).await;
    }

    /// Waits; returns whether the container was asked to end meanwhile.
    async fn wait(&mut self, time: Duration) -> bool {
        tokio::select! {
            _ = self.stop.wait_for(Option::is_some) => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    async fn start(&mut self) -> Result<Running, StartFailure> {
        let failed =
            |error: std::io::Error| StartFailure { reason: "RunContainerError", message: error.to_string() };
        let specification = command::specification(&self.pod, &self.container, &self.identity).await?;
        let events = &self.pod.events;
        events.container(
            EventKind::Normal,
            "Pulled",
            &format!("Container image {:?} already present on machine", self.container.image),
            self.name(),
        );
        let run = self.pod.board.get(self.name()).map_or(0, |record| record.restart_count);
        let log = ContainerLog::create(&self.pod.log_folder(self.name()), run).map_err(failed)?;
        events.container(
            EventKind::Normal,
            "Created",
            &format!("Created container: {}", self.name()),
            self.name(),
        );
        let Spawned { process, stdout, stderr, input } = self.spawn(&specification).await.map_err(failed)?;
        let started_at = Timestamp::now();
        let recording = tokio::spawn(log.clone().record(stdout, stderr));
        let container_id = format!("sagene://{}/{}/{run}", self.pod.uid, self.name());
        let program = Arc::new(specification.program.clone());
        let probed = self.container.startup_probe.is_some();
        self.pod.board.update(self.name(), |record| {
            record.state = State::Running { started_at };
            record.container_id = container_id;
            record.process = Some(process.id);
            record.log = Some(log);
            record.input = input.map(Arc::new);
            record.program = Some(program);
            record.started = !probed;
            record.ready = false;
        });
        events.container(
            EventKind::Normal,
            "Started",
            &format!("Started container {}", self.name()),
            self.name(),
        );
        let target = ProbeTarget {
            pod_address: self.pod.probed_at(),
            container: self.container.clone(),
            process: process.id,
            program: specification.program.clone(),
            reaper: self.pod.node.reaper.clone(),
        };
        Ok(Running { id: process.id, exit: process.exit, started_at, specification, recording, target })
    }

    async fn spawn(&self, specification: &ContainerSpec) -> std::io::Result<Spawned> {
        let sandbox = self.pod.sandbox().ok_or_else(|| std::io::Error::other("the pod's sandbox is gone"))?;
        let file = specification.error_file.with_extension("json");
        let terminal = if self.container.tty { Some(Terminal::open()?) } else { None };
        let written = match &terminal {
            Some(_) => serde_json::to_vec(&on_terminal(specification))?,
            None => serde_json::to_vec(specification)?,
        };
        std::fs::write(&file, written)?;
        let _ = std::fs::remove_file(&specification.error_file);
        let program = specification.root.program_file.clone();
        let reaper = self.pod.node.reaper.clone();
        let beside = self.pod.board.get(&self.container.target_container_name);
        let beside = beside.and_then(|target| target.process);
        let (terminal, streams) = match terminal {
            Some((terminal, peer)) => (Some(terminal), StandardStreams::Terminal(peer)),
            None => {
                let streams = Streams { stdin: self.container.stdin, stdout: true, stderr: true };
                (None, StandardStreams::Pipes(streams))
            }
        };
        // Some milliseconds, mostly the kernel's: not on the threads that serve the API.
        let handle = tokio::runtime::Handle::current();
        let spawned = tokio::task::spawn_blocking(move || {
            let _guard = handle.enter();
            process::start_container(&reaper, sandbox.namespaces(), &program, &file, streams, beside)
        });
        let mut process = spawned.await.map_err(std::io::Error::other)??;
        let once = self.container.stdin_once;
        if let Some(terminal) = terminal {
            let input = self
                .container
                .stdin
                .then(|| StandardInput::new(Box::pin(terminal.clone()), once, Some(terminal.clone())));
            return Ok(Spawned { process, stdout: Some(Box::pin(terminal)), stderr: None, input });
        }
        let input = process.stdin.take().map(|stdin| StandardInput::new(Box::pin(stdin), once, None));
        let stdout = process.stdout.take().map(|stream| Box::pin(stream) as ByteReader);
        let stderr = process.stderr.take().map(|stream| Box::pin(stream) as ByteReader);
        Ok(Spawned { process, stdout, stderr, input })
    }

    /// Until the container has ended, by itself, by its probes or because it was asked to. Returns its exit code.
    async fn supervise(&mut self, mut running: Running) -> i32 {
        let started = self.post_start(&mut running).await;
        drop(self.first_started.take());
        let prober = started
            .then(|| Prober::start(running.target.clone(), self.pod.board.clone(), self.pod.events.clone()));
        let (prober, unhealthy) = match prober {
            Some((prober, unhealthy)) => (Some(prober), Some(unhealthy)),
            None => (None, None),
        };
        let exit = self.wait_for_end(&mut running, unhealthy).await;
        drop(prober);
        let _ = tokio::time::timeout(LOG_END_WAIT, running.recording).await;
        self.record_end(exit, running.started_at, &running.specification)
    }

    async fn post_start(&self, running: &mut Running) -> bool {
        let Some(hook) = &self.container.lifecycle.post_start else { return true };
        has_its_root(running.id).await;
        let limit = self.pod.spec.grace().max(Duration::from_secs(30));
        // A container that ends meanwhile ends the hook with it.
        match running.target.hook(hook, limit).await {
            Ok(()) => true,
            Err(failure) => {
                let message = format!("PostStartHook failed: {failure}");
                self.pod.events.container(EventKind::Warning, "FailedPostStartHook", &message, self.name());
                process::send_signal(running.id, nix::sys::signal::Signal::SIGKILL);
                false
            }
        }
    }

    async fn wait_for_end(
        &mut self,
        running: &mut Running,
        unhealthy: Option<oneshot::Receiver<Unhealthy>>,
    ) -> ProcessExit {
        let unhealthy = async {
            match unhealthy {
                Some(receiver) => match receiver.await {
                    Ok(unhealthy) => unhealthy,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let (mut asked, mut ending) = (self.stop.clone(), self.pod.stop.clone());
        let stop = tokio::select! {
            exit = &mut running.exit => return exit.unwrap_or(UNKNOWN_EXIT),
            unhealthy = unhealthy => {
                self.pod.events.container(EventKind::Normal, "Killing", &unhealthy.message, self.name());
                Stop::within(unhealthy.grace.unwrap_or_else(|| self.pod.spec.grace()))
            }
            stop = asked.wait_for(Option::is_some) => self.asked_to_end(stop.ok().and_then(|stop| *stop)),
            stop = ending.wait_for(Option::is_some) => self.asked_to_end(stop.ok().and_then(|stop| *stop)),
        };
        // One that is ill ends at once; the others when it is their turn, and nobody sends the pod requests any more.
        let turn = async {
            if self.pod.is_stopping() {
                let _ = asked.wait_for(Option::is_some).await;
                self.pod.left_services().await;
            }
        };
        termination::end(&running.target, &mut running.exit, stop, &self.pod.events, &self.stop, turn).await
    }

    fn asked_to_end(&self, stop: Option<Stop>) -> Stop {
        let message = format!("Stopping container {}", self.container.name);
        self.pod.events.container(EventKind::Normal, "Killing", &message, &self.container.name);
        stop.unwrap_or_else(|| Stop::within(Duration::ZERO))
    }

    fn record_end(&self, exit: ProcessExit, started_at: Timestamp, specification: &ContainerSpec) -> i32 {
        let start_error = std::fs::read_to_string(&specification.error_file).unwrap_or_default();
        let _ = std::fs::remove_file(&specification.error_file);
        let _ = std::fs::remove_file(specification.error_file.with_extension("json"));
        let (reason, message) = match exit.code {
            code if code == i32::from(START_ERROR) && !start_error.is_empty() => {
                self.pod.events.container(
                    EventKind::Warning,
                    "Failed",
                    &format!("Error: {start_error}"),
                    self.name(),
                );
                ("StartError", start_error)
            }
            0 => ("Completed", self.last_words(specification, false)),
            _ => ("Error", self.last_words(specification, true)),
        };
        let name = self.name();
        self.pod.board.update(name, |record| {
            let ended = Terminated {
                exit_code: exit.code,
                signal: exit.signal,
                reason,
                message,
                started_at: Some(started_at),
                finished_at: Timestamp::now(),
                container_id: record.container_id.clone(),
            };
            record.last = Some(ended.clone());
            record.state = State::Terminated(ended);
            record.process = None;
            record.input = None;
            record.ready = false;
            record.started = false;
        });
        exit.code
    }

    fn last_words(&self, specification: &ContainerSpec, failed: bool) -> String {
        let path = match self.container.termination_message_path.as_str() {
            "" => "/dev/termination-log",
            path => path,
        };
        let file = specification.root.mounts.iter().find(|mount| mount.target == std::path::Path::new(path));
        let log = self.pod.board.get(self.name()).and_then(|record| record.log);
        let fall_back = failed && self.container.termination_message_policy == "FallbackToLogsOnError";
        termination::last_words(file.map(|mount| mount.source.as_path()), log.filter(|_| fall_back))
    }
}

/// A process nobody saw ending; it was waited for elsewhere.
const UNKNOWN_EXIT: ProcessExit = ProcessExit { code: 255, signal: None };

fn next_pause(pause: Duration) -> Duration {
    if pause.is_zero() { BACKOFF_START } else { (pause * 2).min(BACKOFF_LIMIT) }
}

/// `1m20s`, as Go writes durations of whole seconds.
fn go_duration(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
