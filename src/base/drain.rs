//! Draining: a token that tells every task that the process is going away, how gently, and until when.
//!
//! One [`Drain`] starts it; any number of cloned [`DrainWatch`]es select on it. Holding a watch keeps the drain open, so a task
//! drops its watch when its last piece of work is done.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How gently work is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainMode {
    /// Take no new work; let what runs finish until the deadline.
    Graceful,
    /// Stop now.
    Immediate,
}

/// What a drain asks for once it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainRequest {
    /// How gently to end.
    pub mode: DrainMode,
    /// The moment by which everything must have ended.
    pub deadline: Instant,
}

/// A fresh pair: the trigger, and the token to hand to tasks.
pub fn channel() -> (Drain, DrainWatch) {
    let (sender, _) = watch::channel(None);
    let holders = TaskTracker::new();
    holders.close();
    let drain = Drain { sender, holders };
    let watch = drain.watch();
    (drain, watch)
}

/// Starts draining and waits for its end.
#[derive(Debug)]
pub struct Drain {
    sender: watch::Sender<Option<DrainRequest>>,
    holders: TaskTracker,
}

impl Drain {
    /// Begins a graceful drain that is forced after `grace`. A drain that already runs is only ever shortened.
    pub fn start(&self, grace: Duration) {
        self.request(DrainRequest { mode: DrainMode::Graceful, deadline: Instant::now() + grace });
    }

    /// Asks every task to stop at once.
    pub fn force(&self) {
        self.request(DrainRequest { mode: DrainMode::Immediate, deadline: Instant::now() });
    }

    fn request(&self, wanted: DrainRequest) {
        self.sender.send_if_modified(|current| match current {
            Some(running) if running.mode == DrainMode::Immediate || running.deadline <= wanted.deadline => {
                false
            }
            _ => {
                *current = Some(wanted);
                true
            }
        });
    }

    /// Another token.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { receiver: self.sender.subscribe(), _holder: self.holders.token() }
    }

    /// Number of tokens still held.
    pub fn remaining(&self) -> usize {
        self.holders.len()
    }

    /// Waits until every token is dropped. If the deadline of a started drain passes first, the rest is asked to stop at once
    /// and `false` is returned without waiting for it.
    pub async fn drained(&self) -> bool {
        tokio::select! {
            biased;
            () = self.holders.wait() => true,
            () = self.deadline() => {
                self.force();
                false
            }
        }
    }

    async fn deadline(&self) {
        let mut view = self.sender.subscribe();
        loop {
            let request = *view.borrow_and_update();
            match request {
                Some(request) => tokio::select! {
                    () = tokio::time::sleep_until(request.deadline) => return,
                    _ = view.changed() => {}
                },
                None if view.changed().await.is_err() => return,
                None => {}
            }
        }
    }
}

/// The token tasks hold and select on.
#[derive(Debug, Clone)]
pub struct DrainWatch {
    receiver: watch::Receiver<Option<DrainRequest>>,
    _holder: TaskTrackerToken,
}

impl DrainWatch {
    /// What is asked for, or `None` while everything runs normally.
    pub fn requested(&self) -> Option<DrainRequest> {
        *self.receiver.borrow()
    }

    /// Resolves when draining begins (at once if it has); also when the [`Drain`] is gone, which counts as immediate.
    pub async fn draining(&self) -> DrainRequest {
        let mut receiver = self.receiver.clone();
        let request = match receiver.wait_for(Option::is_some).await {
            Ok(request) => *request,
            Err(_) => None,
        };
        request.unwrap_or_else(immediate)
    }

    /// Resolves when work must stop now: an immediate drain, or the deadline of a graceful one.
    pub async fn forced(&self) {
        let mut receiver = self.receiver.clone();
        loop {
            let request = *receiver.borrow_and_update();
            match request {
                Some(DrainRequest { mode: DrainMode::Immediate, .. }) => return,
                Some(DrainRequest { deadline, .. }) => tokio::select! {
                    () = tokio::time::sleep_until(deadline) => return,
                    changed = receiver.changed() => if changed.is_err() { return },
                },
                None => {
                    if receiver.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn immediate() -> DrainRequest {
    DrainRequest { mode: DrainMode::Immediate, deadline: Instant::now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_when_the_last_token_is_dropped() {
        let (drain, watch) = channel();
        let second = watch.clone();
        drain.start(Duration::from_secs(5));
        assert_eq!(second.draining().await.mode, DrainMode::Graceful);
        let task = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop((watch, second));
        });
        assert!(drain.drained().await);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_forces_what_is_left() {
        let (drain, watch) = channel();
        drain.start(Duration::from_secs(5));
        let held = tokio::spawn(async move { watch.forced().await });
        let started = Instant::now();
        assert!(!drain.drained().await);
        assert!(started.elapsed() >= Duration::from_secs(5));
        held.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_call_only_ever_shortens() {
        let (drain, watch) = channel();
        drain.start(Duration::from_secs(1));
        let first = watch.requested();
        drain.start(Duration::from_secs(60));
        assert_eq!(watch.requested(), first);
        drain.force();
        watch.forced().await;
        assert_eq!(watch.draining().await.mode, DrainMode::Immediate);
    }
}
