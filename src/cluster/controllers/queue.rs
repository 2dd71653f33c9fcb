//! Keys that wait to be reconciled: each at most once, none twice at the same time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::key::Key;

/// First pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A key that failed so often in a row has a pause behind each failure, whatever asks for it: what a failing reconciliation writes may
/// itself ask for the next one.
const FAILURES_AT_ONCE: u32 = 5;
const LEAST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    waiting: VecDeque<Key>,
    queued: HashSet<Key>,
    running: HashSet<Key>,
    /// Keys that were asked for while they ran.
    again: HashSet<Key>,
    failures: HashMap<Key, Failures>,
    /// Keys that were asked for during their pause, and come when it is over.
    pausing: HashSet<Key>,
}

/// How often a key failed in a row, and when last.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// What is left of the pause that a key has in any case.
    fn pause(self) -> Option<Duration> {
        let left = LEAST_PAUSE.saturating_sub(self.last.elapsed());
        (self.count >= FAILURES_AT_ONCE && !left.is_zero()).then_some(left)
    }
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks for a key.
    pub(super) fn add(self: &Arc<Self>, key: Key) {
        let mut state = self.state();
        if state.running.contains(&key) {
            state.again.insert(key);
        } else if let Some(pause) = state.failures.get(&key).and_then(|failures| failures.pause()) {
            if state.pausing.insert(key.clone()) {
                drop(state);
                self.add_later(key, pause);
            }
        } else if state.queued.insert(key.clone()) {
            state.waiting.push_back(key);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The next key, with how often it failed in a row.
    pub(super) async fn next(&self) -> (Key, u32) {
        loop {
            let woken = self.wake.notified();
            if let Some(taken) = self.take() {
                return taken;
            }
            woken.await;
        }
    }

    fn take(&self) -> Option<(Key, u32)> {
        let mut state = self.state();
        let key = state.waiting.pop_front()?;
        state.queued.remove(&key);
        state.running.insert(key.clone());
        state.pausing.remove(&key);
        let failures = state.failures.get(&key).map_or(0, |failures| failures.count);
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.wake.notify_one();
        }
        Some((key, failures))
    }

    /// A key agreed with the world; it may want to be looked at again later.
    pub(super) fn done(self: &Arc<Self>, key: Key, again: Option<Duration>) {
        self.state().failures.remove(&key);
        self.finish(&key);
        if let Some(pause) = again {
            self.add_later(key, pause);
        }
    }

    /// A key could not be reconciled.
    pub(super) fn failed(self: &Arc<Self>, key: Key, failures: u32) {
        self.state().failures.insert(key.clone(), Failures { count: failures, last: Instant::now() });
        self.finish(&key);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
        self.add_later(key, pause);
    }

    fn finish(self: &Arc<Self>, key: &Key) {
        let mut state = self.state();
        state.running.remove(key);
        let asked = state.again.remove(key);
        drop(state);
        if asked {
            self.add(key.clone());
        }
    }

    fn add_later(self: &Arc<Self>, key: Key, pause: Duration) {
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            queue.state().pausing.remove(&key);
            queue.add(key);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_waits_once_runs_once_and_comes_back_when_asked_for() {
        let queue = Arc::new(Queue::default());
        let key = || Key::Namespace("a".to_owned());
        queue.add(key());
        queue.add(key());
        assert_eq!(queue.next().await, (key(), 0));
        queue.add(key());
        assert!(queue.take().is_none(), "it runs already");
        queue.done(key(), None);
        assert_eq!(queue.next().await, (key(), 0));
        queue.failed(key(), 1);
        assert!(queue.take().is_none(), "after a failure there is a pause");
        assert_eq!(queue.next().await, (key(), 1));
        queue.done(key(), None);
        assert!(queue.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_keeps_failing_is_not_had_at_once_whoever_asks() {
        let queue = Arc::new(Queue::default());
        let key = || Key::Namespace("a".to_owned());
        queue.add(key());
        for failures in 0..FAILURES_AT_ONCE {
            assert_eq!(queue.next().await, (key(), failures));
            // The reconciliation itself changed something that it watches.
            queue.add(key());
            queue.failed(key(), failures + 1);
        }
        for _ in 0..3 {
            queue.add(key());
            assert!(queue.take().is_none(), "its pause is not over");
        }
        let before = Instant::now();
        assert_eq!(queue.next().await, (key(), FAILURES_AT_ONCE));
        assert_eq!(before.elapsed().as_secs(), LEAST_PAUSE.as_secs());
        queue.done(key(), None);
        queue.add(key());
        assert_eq!(queue.take(), Some((key(), 0)), "what succeeds again has no pause");
    }
}
