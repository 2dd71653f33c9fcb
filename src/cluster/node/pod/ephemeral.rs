//! Ephemeral containers: added to a pod that runs, as by `kubectl debug`. Each is started once, and ends with the pod's containers.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::container_runner::ContainerRunner;
use super::{PodContext, Stop};
use crate::node::container_spec::MountSpec;
use crate::node::pod_spec::{Container, RestartPolicy};

/// Those of one pod.
pub(super) struct EphemeralContainers {
    switch: watch::Sender<Option<Stop>>,
    task: JoinHandle<()>,
}

impl EphemeralContainers {
    /// Starts what the pod's object lists, now and whenever there is more.
    pub(super) fn follow(pod: Arc<PodContext>, identity: Arc<[MountSpec]>) -> Self {
        let (switch, stop) = watch::channel(None);
        let name = format!("ephemeral containers of {}/{}", pod.namespace, pod.name);
        Self { switch, task: sagene_base::task::spawn(name, run(pod, identity, stop)) }
    }

    /// Ends them.
    pub(super) async fn end(self, stop: Stop) {
        self.switch.send_replace(Some(stop));
        let _ended = self.task.await;
    }
}

async fn run(pod: Arc<PodContext>, identity: Arc<[MountSpec]>, stop: watch::Receiver<Option<Stop>>) {
    let mut object = pod.object.clone();
    let mut stopped = stop.clone();
    let over = started_before(&object.borrow());
    let mut runners = JoinSet::new();
    loop {
        let current = object.borrow_and_update().clone();
        for container in listed(&current) {
            if over.contains(&container.name) || !pod.board.add(&container.name) {
                continue;
            }
            let runner = ContainerRunner {
                pod: pod.clone(),
                container,
                restart_policy: RestartPolicy::Never,
                identity: identity.clone(),
                stop: stop.clone(),
                first_started: None,
            };
            runners.spawn(runner.run());
        }
        tokio::select! {
            changed = object.changed() => if changed.is_err() { break },
            _ = stopped.wait_for(Option::is_some) => break,
        }
    }
    while runners.join_next().await.is_some() {}
}

/// What the object lists. One that cannot be read is left out: the API server has looked at it.
pub(super) fn listed(pod: &Value) -> Vec<Container> {
    let containers = pod["spec"]["ephemeralContainers"].as_array().into_iter().flatten();
    containers.filter_map(|container| Container::deserialize(container).ok()).collect()
}

/// Those that an earlier daemon ran: nothing starts them again.
fn started_before(pod: &Value) -> HashSet<String> {
    let statuses = pod["status"]["ephemeralContainerStatuses"].as_array().into_iter().flatten();
    let started = statuses.filter(|status| status["containerID"].is_string());
    started.filter_map(|status| status["name"].as_str().map(str::to_owned)).collect()
}
