//! The life of a pod: sandbox, volumes, init containers in order, containers side by side (after a hook of the one before), and the way back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::container_runner::ContainerRunner;
use super::context::Verdict;
use super::ephemeral::EphemeralContainers;
use super::sandbox::Sandbox;
use super::{PodContext, Stop, identity_files, status_writer};
use crate::api_client::{DeleteOptions, ResourceRef};
use crate::node::container_spec::MountSpec;
use crate::node::events::EventKind;
use crate::node::pod_spec::{Container, RestartPolicy};

/// Between attempts to make a sandbox or a volume.
const RETRY_START: Duration = Duration::from_millis(100);
const RETRY_LIMIT: Duration = Duration::from_secs(5);
/// Between attempts to remove the object of a pod that has ended.
const REMOVAL_RETRY: Duration = Duration::from_secs(1);
/// How soon a changed ConfigMap, Secret or label reaches a volume.
const VOLUME_REFRESH: Duration = Duration::from_secs(5);

/// Runs the pod until it is gone from this node.
pub(crate) async fn run(pod: Arc<PodContext>) {
    let finished_before =
        matches!(pod.object.borrow()["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    // A finished pod stays as it is until it is deleted.
    if finished_before {
        pod.stopping().await;
    } else {
        let writer = sagene_base::task::spawn("pod-status", status_writer::run(pod.clone()));
        match pod.spec.unsupported() {
            Some(message) => refuse(&pod, message),
            None => live(&pod).await,
        }
        pod.stopping().await;
        writer.abort();
    }
    remove(&pod).await;
}

fn refuse(pod: &PodContext, message: &str) {
    pod.events.pod(EventKind::Warning, "Failed", message);
    pod.conclude(Verdict { phase: "Failed", reason: "UnsupportedPodSpec", message: message.to_owned() });
}

async fn live(pod: &Arc<PodContext>) {
    if let Some(identity) = set_up(pod).await {
        let refresher = sagene_base::task::spawn("pod-volumes", refresh_volumes(pod.clone()));
        let mut containers = Containers::new(pod.clone(), identity);
        containers.run().await;
        refresher.abort();
    }
    if let Some(sandbox) = pod.set_sandbox(None) {
        sandbox.remove(&pod.node).await;
    }
    pod.volumes.lock().await.remove();
}

/// Makes sandbox and volumes, trying again until the pod has to end.
async fn set_up(pod: &Arc<PodContext>) -> Option<Arc<[MountSpec]>> {
    let mut pause = RETRY_START;
    loop {
        let failure = match try_set_up(pod).await {
            Ok(identity) => return Some(identity.into()),
            Err(failure) => failure,
        };
        pod.events.pod(EventKind::Warning, failure.0, &failure.1);
        tokio::select! {
            _ = pod.stopping() => return None,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_LIMIT),
        }
    }
}

async fn try_set_up(pod: &Arc<PodContext>) -> Result<Vec<MountSpec>, (&'static str, String)> {
    if pod.sandbox().is_none() {
        let sandbox =
            Sandbox::create(pod).await.map_err(|error| ("FailedCreatePodSandBox", chain(&error)))?;
        pod.set_sandbox(Some(Arc::new(sandbox)));
    }
    let object = pod.object.borrow().clone();
    let mut volumes = pod.volumes.lock().await;
    let mounted = volumes.update(&pod.node.api, &object, &pod.spec, pod.field_addresses()).await;
    mounted.map_err(|error| ("FailedMount", chain(&error)))?;
    identity_files::write(pod, &volumes).map_err(|error| ("FailedMount", chain(&error)))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    sagene_base::task::error_chain(error)
}

async fn refresh_volumes(pod: Arc<PodContext>) {
    loop {
        tokio::time::sleep(VOLUME_REFRESH).await;
        let object = pod.object.borrow().clone();
        let mut volumes = pod.volumes.lock().await;
        let addresses = pod.field_addresses();
        if let Err(error) = volumes.update(&pod.node.api, &object, &pod.spec, addresses).await {
            // The old content stays.
            pod.events.pod(EventKind::Warning, "FailedMount", &chain(&error));
        }
    }
}

/// The pod's containers while it lives.
struct Containers {
    pod: Arc<PodContext>,
    identity: Arc<[MountSpec]>,
    /// Name and stop switch of each sidecar, in the order they were started.
    sidecars: Vec<(String, watch::Sender<Option<Stop>>)>,
    tasks: JoinSet<Option<i32>>,
}

impl Containers {
    fn new(pod: Arc<PodContext>, identity: Arc<[MountSpec]>) -> Self {
        Self { pod, identity, sidecars: Vec::new(), tasks: JoinSet::new() }
    }

    async fn run(&mut self) {
        let ephemeral = EphemeralContainers::follow(self.pod.clone(), self.identity.clone());
        if self.run_init_containers().await {
            self.run_main_containers().await;
        }
        ephemeral.end(self.stop()).await;
        self.stop_sidecars().await;
        while self.tasks.join_next().await.is_some() {}
    }

    /// Returns whether the containers may be started.
    async fn run_init_containers(&mut self) -> bool {
        let pod = self.pod.clone();
        for container in &pod.spec.init_containers {
            if pod.is_stopping() {
                return false;
            }
            if container.is_sidecar() {
                self.start_sidecar(container).await;
            } else if !self.run_init_container(container).await {
                return false;
            }
        }
        !pod.is_stopping()
    }

    async fn start_sidecar(&mut self, container: &Container) {
        let (switch, stop) = watch::channel(None);
        self.tasks.spawn(self.runner(container, RestartPolicy::Always, stop).run());
        self.sidecars.push((container.name.clone(), switch));
        tokio::select! {
            () = self.pod.board.wait_for(&container.name, |record| record.is_running() && record.started) => {}
            _ = self.pod.stopping() => {}
        }
    }

    async fn run_init_container(&self, container: &Container) -> bool {
        let policy = match self.pod.spec.restart_policy {
            RestartPolicy::Never => RestartPolicy::Never,
            // It has to succeed once.
            RestartPolicy::Always | RestartPolicy::OnFailure => RestartPolicy::OnFailure,
        };
        let code = self.runner(container, policy, self.pod.stop.clone()).run().await;
        if code != Some(0) && !self.pod.is_stopping() {
            let message = format!("init container {} failed", container.name);
            self.pod.conclude(Verdict { phase: "Failed", reason: "", message });
        }
        code == Some(0)
    }

    async fn run_main_containers(&mut self) {
        let mut mains = JoinSet::new();
        for container in &self.pod.spec.containers {
            let mut runner = self.runner(container, self.pod.spec.restart_policy, self.pod.stop.clone());
            if container.lifecycle.post_start.is_none() {
                mains.spawn(runner.run());
                continue;
            }
            let (told, first_started) = oneshot::channel();
            runner.first_started = Some(told);
            mains.spawn(runner.run());
            tokio::select! {
                _ = first_started => {}
                _ = self.pod.stopping() => {}
            }
        }
        let mut succeeded = true;
        let deadline = self.pod.spec.active_deadline_seconds.map(Duration::from_secs);
        let everything = async {
            while let Some(ended) = mains.join_next().await {
                succeeded &= ended.ok().flatten() == Some(0);
            }
        };
        match deadline {
            None => everything.await,
            Some(deadline) => {
                if tokio::time::timeout(deadline, everything).await.is_err() {
                    let message = "Pod was active on the node longer than the specified deadline".to_owned();
                    self.pod.conclude(Verdict { phase: "Failed", reason: "DeadlineExceeded", message });
                    mains.shutdown().await;
                    self.kill_all();
                    return;
                }
            }
        }
        if !self.pod.is_stopping() {
            let phase = if succeeded { "Succeeded" } else { "Failed" };
            self.pod.conclude(Verdict { phase, reason: "", message: String::new() });
        }
    }

    fn kill_all(&self) {
        for record in self.pod.board.all().values() {
            if let Some(process) = record.process {
                crate::node::process::send_signal(process, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }

    /// How long what is left has.
    fn stop(&self) -> Stop {
        self.pod.stop.borrow().unwrap_or_else(|| Stop::within(self.pod.spec.grace()))
    }

    /// Sidecars end after the containers they serve, last started first.
    async fn stop_sidecars(&mut self) {
        let stop = self.stop();
        for (name, switch) in self.sidecars.drain(..).rev() {
            switch.send_replace(Some(stop));
            self.pod.board.wait_for(&name, |record| record.finished).await;
        }
    }

    fn runner(
        &self,
        container: &Container,
        restart_policy: RestartPolicy,
        stop: watch::Receiver<Option<Stop>>,
    ) -> ContainerRunner {
        let (pod, identity) = (self.pod.clone(), self.identity.clone());
        ContainerRunner {
            pod,
            container: container.clone(),
            restart_policy,
            identity,
            stop,
            first_started: None,
        }
    }
}

/// Removes what the pod leaves, and its object if somebody deleted it.
async fn remove(pod: &PodContext) {
    let deleted = !pod.object.borrow()["metadata"]["deletionTimestamp"].is_null();
    if !deleted {
        // The node stops; the pod comes back with the next daemon.
        return;
    }
    if let Err(error) = std::fs::remove_dir_all(pod.folder())
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(pod = pod.name, %error, "cannot remove the pod's folder");
    }
    let options = DeleteOptions { precondition_uid: Some(pod.uid.clone()), ..DeleteOptions::immediate() };
    let mut node_ends = pod.node.shutting_down.subscribe();
    loop {
        match pod.node.api.delete(&ResourceRef::PODS, &pod.namespace, &pod.name, &options).await {
            Ok(_) => return,
            Err(error) if error.is_not_found() || error.is_conflict() => return,
            // A full disk, or a webhook that fails. Nobody else would remove it later.
            Err(error) => tracing::warn!(pod = pod.name, %error, "cannot remove the pod's object"),
        }
        tokio::select! {
            _ = node_ends.wait_for(|ends| *ends) => return,
            () = tokio::time::sleep(REMOVAL_RETRY) => {}
        }
    }
}
