//! The probes of one run of a container: startup first, then readiness and liveness side by side.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::container_state::StatusBoard;
use super::events::{EventKind, PodEvents};
use super::listening;
use super::pod_spec::Probe;
use super::probe::{ProbeFailure, ProbeTarget};

/// Between two attempts at a container that has not answered yet.
const EARLY_ATTEMPTS: Duration = Duration::from_millis(100);

/// The container has to be restarted: which probe failed for too long.
pub(crate) struct Unhealthy {
    pub(crate) message: String,
    /// The probe's own `terminationGracePeriodSeconds`.
    pub(crate) grace: Option<Duration>,
}

/// Probes a container until it is dropped.
pub(crate) struct Prober {
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Context {
    target: ProbeTarget,
    board: Arc<StatusBoard>,
    events: PodEvents,
    name: String,
}

impl Prober {
    /// Starts probing. The receiver gets the word that the container must be restarted.
    pub(crate) fn start(
        target: ProbeTarget,
        board: Arc<StatusBoard>,
        events: PodEvents,
    ) -> (Self, oneshot::Receiver<Unhealthy>) {
        let (sender, receiver) = oneshot::channel();
        let name = target.container.name.clone();
        let context = Context { target, board, events, name };
        let mut tasks = JoinSet::new();
        tasks.spawn(context.run(sender));
        (Self { _tasks: tasks }, receiver)
    }
}

impl Context {
    async fn run(self, unhealthy: oneshot::Sender<Unhealthy>) {
        let container = self.target.container.clone();
        if let Some(startup) = &container.startup_probe
            && let Err(failure) = self.until_success(startup).await
        {
            let message = format!("Container {} failed startup probe, will be restarted", self.name);
            tracing::debug!(container = self.name, %failure, "startup probe");
            return drop(unhealthy.send(Unhealthy { message, grace: grace(startup) }));
        }
        self.board.update(&self.name, |record| record.started = true);
        let readiness = async {
            match &container.readiness_probe {
                Some(probe) => self.readiness(probe).await,
                None => {
                    listening::wait(&container, self.target.process).await;
                    self.board.update(&self.name, |record| record.ready = true);
                }
            }
        };
        let liveness = async {
            if let Some(probe) = &container.liveness_probe {
                self.until_failure(probe).await;
                let message = format!("Container {} failed liveness probe, will be restarted", self.name);
                let _ = unhealthy.send(Unhealthy { message, grace: grace(probe) });
            } else {
                // Kept open: closing it would read as an answer.
                std::future::pending::<()>().await;
            }
        };
        tokio::join!(readiness, liveness);
    }

    async fn until_success(&self, probe: &Probe) -> Result<(), ProbeFailure> {
        let mut failures = 0;
        let mut attempts = Attempts::after_initial_delay(probe).await;
        loop {
            let attempt = attempts.early_or_due().await;
            match self.attempt("Startup", probe, attempt).await {
                Ok(()) => return Ok(()),
                Err(failure) if attempt == Attempt::Due => {
                    failures += 1;
                    if failures >= probe.failure_threshold {
                        return Err(failure);
                    }
                }
                Err(_) => {}
            }
        }
    }

    async fn readiness(&self, probe: &Probe) {
        let (mut failures, mut successes, mut answered) = (0, 0, false);
        let mut attempts = Attempts::after_initial_delay(probe).await;
        loop {
            let attempt = if answered { attempts.due().await } else { attempts.early_or_due().await };
            match self.attempt("Readiness", probe, attempt).await {
                Ok(()) => (failures, successes, answered) = (0, successes + 1, true),
                Err(_) if attempt == Attempt::Due => (failures, successes) = (failures + 1, 0),
                Err(_) => {}
            }
            let ready = self.board.get(&self.name).is_some_and(|record| record.ready);
            let now = if ready {
                failures < probe.failure_threshold
            } else {
                successes >= probe.success_threshold.max(1)
            };
            if now != ready {
                self.board.update(&self.name, |record| record.ready = now);
            }
        }
    }

    async fn until_failure(&self, probe: &Probe) {
        let mut failures = 0;
        let mut attempts = Attempts::after_initial_delay(probe).await;
        loop {
            let attempt = attempts.due().await;
            failures = if self.attempt("Liveness", probe, attempt).await.is_ok() { 0 } else { failures + 1 };
            if failures >= probe.failure_threshold {
                return;
            }
        }
    }

    async fn attempt(&self, kind: &str, probe: &Probe, attempt: Attempt) -> Result<(), ProbeFailure> {
        let result = self.target.attempt(probe).await;
        if let Err(failure) = &result
            && attempt == Attempt::Due
        {
            let message = format!("{kind} probe failed: {failure}");
            self.events.container(EventKind::Warning, "Unhealthy", &message, &self.name);
        }
        result
    }
}

/// Whether an attempt is one that the probe's period asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// Counts, as Kubernetes counts.
    Due,
    /// Made in between, until the container answers for the first time: its failure says nothing.
    Early,
}

/// The moments to attempt a probe: at once after the initial delay, then each period; until the first answer the attempt that is due is the
/// one at the end of a period, because no container answers in the moment it starts. What a slow attempt misses is not made up for.
struct Attempts {
    interval: tokio::time::Interval,
    begun: bool,
}

impl Attempts {
    async fn after_initial_delay(probe: &Probe) -> Self {
        tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
        let mut interval = tokio::time::interval(probe.period());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { interval, begun: false }
    }

    async fn due(&mut self) -> Attempt {
        self.interval.tick().await;
        Attempt::Due
    }

    /// A container that is ready a moment after an attempt is not left waiting for a whole period.
    async fn early_or_due(&mut self) -> Attempt {
        if !self.begun {
            self.begun = true;
            self.interval.tick().await;
            return Attempt::Early;
        }
        tokio::select! {
            biased;
            _ = self.interval.tick() => Attempt::Due,
            () = tokio::time::sleep(EARLY_ATTEMPTS) => Attempt::Early,
        }
    }
}

fn grace(probe: &Probe) -> Option<Duration> {
    probe.termination_grace_period_seconds.map(Duration::from_secs)
}
