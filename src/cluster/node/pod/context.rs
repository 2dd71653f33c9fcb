//! What the tasks of a pod share.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::leave;
use super::sandbox::Sandbox;
use crate::api_client::ApiClient;
use crate::api_client::resource::uid_of;
use crate::events::EventRecorder;
use crate::launcher::StateDirectory;
use crate::network::{Addresses, NodeNetwork, ServiceProxy};
use crate::node::container_state::{ContainerRecord, State, StatusBoard, Terminated};
use crate::node::events::PodEvents;
use crate::node::field_value::FieldAddresses;
use crate::node::pod_spec::{Container, PodSpec};
use crate::node::reaper::Reaper;
use crate::node::volumes::PodVolumes;

/// What all pods of the node share.
pub(crate) struct NodeServices {
    pub(crate) api: ApiClient,
    pub(crate) network: Arc<NodeNetwork>,
    pub(crate) services: Arc<ServiceProxy>,
    pub(crate) reaper: Reaper,
    pub(crate) directory: StateDirectory,
    pub(crate) events: EventRecorder,
    /// One user id only: `runAsUser` cannot be honored.
    pub(crate) rootless: bool,
    /// Becomes `true` when the node ends.
    pub(crate) shutting_down: watch::Sender<bool>,
}

/// A pod that has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// When what still runs is killed.
    pub(crate) deadline: Instant,
}

impl Stop {
    pub(crate) fn within(grace: Duration) -> Self {
        Self { deadline: Instant::now() + grace }
    }
}

/// How the pod as a whole came out, once it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `Succeeded` or `Failed`.
    pub(crate) phase: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// One pod.
pub(crate) struct PodContext {
    pub(crate) node: Arc<NodeServices>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) spec: PodSpec,
    /// The object as last seen.
    pub(crate) object: watch::Receiver<Arc<Value>>,
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) events: PodEvents,
    pub(crate) volumes: tokio::sync::Mutex<PodVolumes>,
    pub(crate) started_at: Timestamp,
    sandbox: Mutex<Option<Arc<Sandbox>>>,
    verdict: Mutex<Option<Verdict>>,
}

impl PodContext {
    /// From the object and its spec; restart counts go on where an earlier daemon left them.
    pub(crate) fn new(
        node: Arc<NodeServices>,
        object: watch::Receiver<Arc<Value>>,
        stop: watch::Receiver<Option<Stop>>,
        spec: PodSpec,
    ) -> Self {
        let pod = object.borrow().clone();
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or("").to_owned();
        let (namespace, name, uid) = (text("namespace"), text("name"), uid_of(&pod).to_owned());
        let disk = node.directory.pods().join(&uid);
        let memory = node.directory.node().join("volumes").join(&uid);
        let board = Arc::new(StatusBoard::new(records(&pod, &spec)));
        let events = PodEvents::new(node.events.clone(), &pod);
        let volumes = tokio::sync::Mutex::new(PodVolumes::new(disk, memory, node.rootless));
        let started_at = pod["status"]["startTime"]
            .as_str()
            .and_then(|time| time.parse().ok())
            .unwrap_or_else(Timestamp::now);
        Self {
            node,
            namespace,
            name,
            uid,
            spec,
            object,
            stop,
            board,
            events,
            volumes,
            started_at,
            sandbox: Mutex::new(None),
            verdict: Mutex::new(None),
        }
    }

    /// The pod's folder for logs and disk-backed volumes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.node.directory.pods().join(&self.uid)
    }

    /// Where a container's logs are.
    pub(crate) fn log_folder(&self, container: &str) -> PathBuf {
        self.folder().join("logs").join(container)
    }

    pub(crate) fn sandbox(&self) -> Option<Arc<Sandbox>> {
        self.sandbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_sandbox(&self, sandbox: Option<Arc<Sandbox>>) -> Option<Arc<Sandbox>> {
        let before =
            std::mem::replace(&mut *self.sandbox.lock().unwrap_or_else(PoisonError::into_inner), sandbox);
        self.board.touch();
        before
    }

    /// The pod's addresses, once it has some.
    pub(crate) fn addresses(&self) -> Option<Addresses> {
        self.sandbox().map(|sandbox| sandbox.addresses())
    }

    /// Where the node reaches the pod: its primary address.
    pub(crate) fn probed_at(&self) -> Ipv4Addr {
        self.addresses().map_or(Ipv4Addr::LOCALHOST, |addresses| addresses.v4)
    }

    /// What the downward API may say of addresses.
    pub(crate) fn field_addresses(&self) -> FieldAddresses {
        FieldAddresses { pod: self.addresses(), node: self.node.network.host_addresses() }
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decides how the pod came out; the first word counts.
    pub(crate) fn conclude(&self, verdict: Verdict) {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(verdict);
        self.board.touch();
    }

    /// Whether the pod has to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Completes when nobody sends the pod requests any more because it was deleted; at once where the node ends, and not the pod.
    pub(crate) async fn left_services(&self) {
        let deleted = self.object.borrow()["metadata"]["deletionTimestamp"].is_string();
        if deleted {
            leave::services(&self.node.api, &self.namespace, &self.uid).await;
        }
    }

    /// Completes when the pod has to end.
    pub(crate) async fn stopping(&self) -> Stop {
        let mut stop = self.stop.clone();
        let stop = stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
        // Nobody is left who could say so: the node itself is ending.
        stop.unwrap_or_else(|| Stop::within(Duration::ZERO))
    }
}

fn records(pod: &Value, spec: &PodSpec) -> BTreeMap<String, ContainerRecord> {
    let waiting = if spec.init_containers.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    let fresh = |container: &Container| (container.name.clone(), ContainerRecord::waiting(waiting));
    let mut records: BTreeMap<_, _> =
        spec.containers.iter().chain(&spec.init_containers).map(fresh).collect();
    for list in ["containerStatuses", "initContainerStatuses"] {
        for status in pod["status"][list].as_array().into_iter().flatten() {
            if let Some(record) = status["name"].as_str().and_then(|name| records.get_mut(name)) {
                resume(record, status);
            }
        }
    }
    records
}

/// A container that an earlier daemon ran: this will be another run of it.
fn resume(record: &mut ContainerRecord, status: &Value) {
    let ran = status["containerID"].as_str().filter(|id| !id.is_empty());
    let Some(container_id) = ran else { return };
    let count = status["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let ended = &status["state"]["terminated"];
    record.restart_count = count.saturating_add(1);
    let time = |value: &Value| value.as_str().and_then(|time| time.parse().ok());
    record.last = Some(Terminated {
        exit_code: ended["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(255),
        signal: None,
        reason: if ended["reason"] == "Completed" { "Completed" } else { "Unknown" },
        message: "the node stopped".to_owned(),
        started_at: time(&status["state"]["running"]["startedAt"]).or_else(|| time(&ended["startedAt"])),
        finished_at: time(&ended["finishedAt"]).unwrap_or_else(Timestamp::now),
        container_id: container_id.to_owned(),
    });
    record.state = State::Waiting { reason: "ContainerCreating", message: String::new() };
}
