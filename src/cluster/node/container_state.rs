//! What is known of each container of a pod, kept where the pod's tasks and the API's readers see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::logs::ContainerLog;
use super::standard_input::StandardInput;

/// How a run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terminated {
    pub(crate) exit_code: i32,
    pub(crate) signal: Option<i32>,
    /// `Completed`, `Error`, `StartError`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    pub(crate) container_id: String,
}

/// State of a container, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { reason: &'static str, message: String },
    Running { started_at: Timestamp },
    Terminated(Terminated),
}

/// One container.
#[derive(Clone)]
pub(crate) struct ContainerRecord {
    pub(crate) state: State,
    pub(crate) last: Option<Terminated>,
    pub(crate) restart_count: u32,
    /// The readiness probe's word, or that there is none.
    pub(crate) ready: bool,
    /// The startup probe has succeeded.
    pub(crate) started: bool,
    /// Will not be started again.
    pub(crate) finished: bool,
    pub(crate) container_id: String,
    /// First process, while it runs.
    pub(crate) process: Option<i32>,
    pub(crate) log: Option<Arc<ContainerLog>>,
    /// Its standard input, where it wants one.
    pub(crate) input: Option<Arc<StandardInput>>,
    /// Variables it was started with, for commands that join it.
    pub(crate) program: Option<Arc<super::container_spec::ProgramSpec>>,
}

impl ContainerRecord {
    /// A container that was not started yet.
    pub(crate) fn waiting(reason: &'static str) -> Self {
        Self {
            state: State::Waiting { reason, message: String::new() },
            last: None,
            restart_count: 0,
            ready: false,
            started: false,
            finished: false,
            container_id: String::new(),
            process: None,
            log: None,
            input: None,
            program: None,
        }
    }

    /// Whether it runs now.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }
}

/// The containers of one pod by name. Names are unique over init containers and containers.
pub(crate) struct StatusBoard {
    records: Mutex<BTreeMap<String, ContainerRecord>>,
    changed: Notify,
}

impl StatusBoard {
    pub(crate) fn new(records: BTreeMap<String, ContainerRecord>) -> Self {
        Self { records: Mutex::new(records), changed: Notify::new() }
    }

    /// A copy of one record.
    pub(crate) fn get(&self, container: &str) -> Option<ContainerRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).get(container).cloned()
    }

    /// A copy of all.
    pub(crate) fn all(&self) -> BTreeMap<String, ContainerRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes one record and wakes who waits for changes.
    pub(crate) fn update(&self, container: &str, change: impl FnOnce(&mut ContainerRecord)) {
        if let Some(record) = self.records.lock().unwrap_or_else(PoisonError::into_inner).get_mut(container) {
            change(record);
        }
        self.changed.notify_waiters();
    }

    /// Takes in a container that was added to the pod; `false` where it is known.
    pub(crate) fn add(&self, container: &str) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = !records.contains_key(container);
        if fresh {
            records.insert(container.to_owned(), ContainerRecord::waiting("ContainerCreating"));
        }
        drop(records);
        self.changed.notify_waiters();
        fresh
    }

    /// Wakes who waits for changes, after something else the status depends on has changed.
    pub(crate) fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until a record satisfies the condition.
    pub(crate) async fn wait_for(&self, container: &str, condition: impl Fn(&ContainerRecord) -> bool) {
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.get(container).is_none_or(|record| condition(&record)) {
                return;
            }
            notified.await;
        }
    }

    /// Waits for the next change after the returned future was first polled.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}
