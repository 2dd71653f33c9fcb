//! Readiness of a process as a set of named conditions.
//!
//! Each condition is met by an explicit [`ReadinessGate::ready`]; a gate that is dropped before that counts as failed, so a task
//! that died can never look healthy.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// Where one condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its owner still works on it.
    Pending,
    /// Its owner said so.
    Ready,
    /// Its owner ended without saying so, or said that it cannot be met.
    Failed,
}

/// The conditions of one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    conditions: Mutex<BTreeMap<&'static str, Condition>>,
    ready: watch::Sender<bool>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// No conditions yet. A process without conditions is not ready: register all of them before serving the probe.
    pub fn new() -> Self {
        let (ready, _) = watch::channel(false);
        Self { shared: Arc::new(Shared { conditions: Mutex::default(), ready }) }
    }

    /// Adds a condition; whoever holds the gate must call [`ReadinessGate::ready`].
    pub fn register(&self, name: &'static str) -> ReadinessGate {
        self.shared.set(name, Condition::Pending);
        ReadinessGate { name, shared: self.shared.clone(), settled: false }
    }

    /// Whether every condition is met.
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// The conditions that are not met, with where they stand.
    pub fn unmet(&self) -> Vec<(&'static str, Condition)> {
        let conditions = self.shared.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.iter().filter(|(_, state)| **state != Condition::Ready).map(|(n, s)| (*n, *s)).collect()
    }

    /// Resolves when every condition is met.
    pub async fn ready(&self) {
        let mut receiver = self.shared.ready.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = receiver.wait_for(|ready| *ready).await;
    }
}

impl Shared {
    fn set(&self, name: &'static str, state: Condition) {
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.insert(name, state);
        let all = conditions.values().all(|state| *state == Condition::Ready);
        self.ready.send_replace(all);
    }
}

/// One condition in the hands of the task that meets it.
#[derive(Debug)]
pub struct ReadinessGate {
    name: &'static str,
    shared: Arc<Shared>,
    settled: bool,
}

impl ReadinessGate {
    /// The condition is met, for good.
    pub fn ready(mut self) {
        self.settled = true;
        self.shared.set(self.name, Condition::Ready);
    }
}

impl Drop for ReadinessGate {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.set(self.name, Condition::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_needs_every_gate() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready());
        let (first, second) = (readiness.register("first"), readiness.register("second"));
        first.ready();
        assert_eq!(readiness.unmet(), [("second", Condition::Pending)]);
        second.ready();
        readiness.ready().await;
    }

    #[test]
    fn a_dropped_gate_is_a_failure() {
        let readiness = Readiness::new();
        drop(readiness.register("store"));
        assert_eq!(readiness.unmet(), [("store", Condition::Failed)]);
    }
}
