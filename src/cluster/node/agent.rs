//! Follows the pods of the API and keeps one worker for each that belongs to this node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::pod::{self, NodeServices, PodContext, Stop};
use super::pod_spec::PodSpec;
use super::reaper::Reaper;
use super::usage::{self, Samples};
use super::{NODE_NAME, registration, scheduler, service_feed};
use crate::api_client::resource::uid_of;
use crate::api_client::{ApiClient, ResourceRef, WatchEvent, WatchEventType, WatchOptions};
use crate::dns::ClusterNames;
use crate::events::EventRecorder;
use crate::launcher::StateDirectory;
use crate::network::{HostNetwork, LoadBalancer, NodeNetwork, ServiceProxy};

/// Before a watch that broke is started again.
const WATCH_RETRY: Duration = Duration::from_millis(200);
/// The longest time pods get when the node stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// What the node agent needs to start.
pub(crate) struct NodeAgentConfig {
    pub(crate) api: ApiClient,
    pub(crate) network: Arc<NodeNetwork>,
    pub(crate) services: Arc<ServiceProxy>,
    pub(crate) host: HostNetwork,
    /// Where the names of the cluster go.
    pub(crate) names: watch::Sender<ClusterNames>,
    pub(crate) directory: StateDirectory,
    pub(crate) rootless: bool,
}

struct Worker {
    object: watch::Sender<Arc<Value>>,
    stop: watch::Sender<Option<Stop>>,
    context: Arc<PodContext>,
}

/// The node agent. Clones share it.
#[derive(Clone)]
pub(crate) struct NodeAgent {
    node: Arc<NodeServices>,
    workers: Arc<Mutex<HashMap<String, Worker>>>,
    idle: Arc<Notify>,
    samples: Arc<Samples>,
}

impl NodeAgent {
    /// Registers the node and starts everything. Must run in the node's network namespace.
    pub(crate) async fn start(config: NodeAgentConfig) -> std::io::Result<Self> {
        let api = config.api.acting_as(&format!("system:node:{NODE_NAME}"));
        let node = Arc::new(NodeServices {
            events: EventRecorder::new(api.clone()),
            api: api.clone(),
            network: config.network,
            services: config.services.clone(),
            reaper: Reaper::start()?,
            directory: config.directory,
            rootless: config.rootless,
            shutting_down: watch::Sender::new(false),
        });
        let addresses = node.network.host_addresses();
        let agent = Self { node, workers: Arc::default(), idle: Arc::default(), samples: Arc::default() };
        sagene_base::task::spawn("node-registration", registration::run(api.clone(), addresses));
        let scheduling = config.api.acting_as("system:kube-scheduler");
        sagene_base::task::spawn("scheduler", scheduler::run(scheduling));
        let feeding = config.api.acting_as("system:kube-proxy");
        let load_balancer = LoadBalancer::new(config.host, addresses.v4);
        sagene_base::task::spawn(
            "services",
            service_feed::run(feeding, config.services, load_balancer, config.names),
        );
        sagene_base::task::spawn("usage", usage::run(agent.clone(), agent.samples.clone()));
        let follower = agent.clone();
        sagene_base::task::spawn("pods", async move { follower.follow().await });
        Ok(agent)
    }

    async fn follow(&self) {
        loop {
            let options = WatchOptions {
                field_selector: format!("spec.nodeName={NODE_NAME}"),
                ..WatchOptions::default()
            };
            match self.node.api.watch(&ResourceRef::PODS, "", &options).await {
                Ok(mut pods) => {
                    while let Ok(event) = pods.next().await {
                        self.handle(event);
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot watch pods"),
            }
            tokio::time::sleep(WATCH_RETRY).await;
        }
    }

    fn handle(&self, event: WatchEvent) {
        let uid = uid_of(&event.object).to_owned();
        let gone = event.event_type == WatchEventType::Deleted;
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = workers.get(&uid) {
            worker.object.send_replace(event.object.clone());
            if let Some(grace) = if gone { Some(Duration::ZERO) } else { grace(&event.object) } {
                stop_within(&worker.stop, grace);
            }
            return;
        }
        if gone || *self.node.shutting_down.borrow() {
            return;
        }
        workers.insert(uid, self.start_worker(&event.object));
    }

    fn start_worker(&self, object: &Arc<Value>) -> Worker {
        let (sender, receiver) = watch::channel(object.clone());
        let (stop, stopping) = watch::channel(grace(object).map(Stop::within));
        let context = Arc::new(PodContext::new(self.node.clone(), receiver, stopping, PodSpec::of(object)));
        let (agent, own) = (self.clone(), context.clone());
        sagene_base::task::spawn(format!("pod {}/{}", context.namespace, context.name), async move {
            pod::run(own.clone()).await;
            agent.workers.lock().unwrap_or_else(PoisonError::into_inner).remove(&own.uid);
            agent.idle.notify_waiters();
        });
        Worker { object: sender, stop, context }
    }

    /// The pod with this name, if it runs here.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<PodContext>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |worker: &&Worker| worker.context.namespace == namespace && worker.context.name == name;
        workers.values().find(named).map(|worker| worker.context.clone())
    }

    /// All pods that run here.
    pub(super) fn pods(&self) -> Vec<Arc<PodContext>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.values().map(|worker| worker.context.clone()).collect()
    }

    /// What was measured of late.
    pub(super) fn samples(&self) -> &Samples {
        &self.samples
    }

    pub(crate) fn node(&self) -> &NodeServices {
        &self.node
    }

    /// Ends every container, keeping the pods' objects; returns when all have ended.
    pub(crate) async fn shut_down(&self) {
        self.node.shutting_down.send_replace(true);
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let own = worker.context.spec.grace();
            stop_within(&worker.stop, own.min(SHUTDOWN_GRACE));
        }
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.workers.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            idle.await;
        }
    }
}

/// The time a deleted pod has; `None` while it is not deleted.
fn grace(pod: &Value) -> Option<Duration> {
    let metadata = &pod["metadata"];
    if metadata["deletionTimestamp"].is_null() {
        return None;
    }
    Some(Duration::from_secs(metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(30)))
}

/// Asks a pod to end, or to end sooner; never later.
fn stop_within(stop: &watch::Sender<Option<Stop>>, grace: Duration) {
    let wanted = Stop::within(grace);
    stop.send_if_modified(|current| {
        let sooner =
            current.is_none_or(|current| wanted.deadline + Duration::from_millis(500) < current.deadline);
        if sooner {
            *current = Some(wanted);
        }
        sooner
    });
}
