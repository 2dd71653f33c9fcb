//! The controllers a mesh needs: they turn what users ask for into objects, again and again until both agree.
//!
//! Watches only say which object to look at; every reconciliation reads the truth from the store, which is in memory and consistent,
//! so there are no caches to be stale and no expectations to keep. A key that fails is tried again with growing pauses.

mod autoscaler;
mod context;
mod cron_job;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod event_expiry;
mod garbage;
mod job;
mod key;
mod limits;
mod namespace;
mod pod_owner;
mod queue;
mod replica_set;
mod stateful_set;
pub(crate) mod storage;
mod taint_eviction;
mod token_secret;
mod watches;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api_client::{ApiClient, ApiError};
use context::Context;
use key::Key;
use queue::Queue;

/// Keys reconciled at once.
const WORKERS: usize = 4;

/// What a reconciliation asks for after itself.
pub(crate) type Reconciled = Result<Option<Duration>, ApiError>;

/// Runs all controllers until `shutdown`. `ca_certificate` is published to every namespace; `volumes` is the folder for
/// PersistentVolumes that are made on demand.
pub async fn run(api: ApiClient, ca_certificate: String, volumes: PathBuf, shutdown: CancellationToken) {
    let queue = Arc::new(Queue::default());
    let context = Arc::new(Context::new(api, ca_certificate, volumes));
    let mut tasks = JoinSet::new();
    for resource in watches::WATCHED {
        tasks.spawn(watches::follow(context.clone(), queue.clone(), resource));
    }
    tasks.spawn(event_expiry::run(context.clone()));
    tasks.spawn(autoscaler::run(context.clone(), queue.clone()));
    tasks.spawn(garbage::follow(context.clone(), queue.clone()));
    for _ in 0..WORKERS {
        tasks.spawn(work(context.clone(), queue.clone()));
    }
    shutdown.cancelled().await;
    tasks.shutdown().await;
}

async fn work(context: Arc<Context>, queue: Arc<Queue>) {
    loop {
        let (key, failures) = queue.next().await;
        let outcome = reconcile(&context, &key).await;
        match outcome {
            Ok(again) => queue.done(key, again),
            Err(error) => {
                // Conflicts are everyday: somebody else wrote first. No number of them is a reason to wait longer.
                if error.is_conflict() {
                    tracing::debug!(%key, %error, "will be reconciled again");
                    queue.failed(key, 1);
                } else {
                    tracing::warn!(%key, %error, failures, "reconciliation failed");
                    queue.failed(key, failures + 1);
                }
            }
        }
    }
}

async fn reconcile(context: &Context, key: &Key) -> Reconciled {
    match key {
        Key::Namespace(name) => namespace::reconcile(context, name).await,
        Key::Deployment(namespace, name) => deployment::reconcile(context, namespace, name).await,
        Key::ReplicaSet(namespace, name) => replica_set::reconcile(context, namespace, name).await,
        Key::StatefulSet(namespace, name) => stateful_set::reconcile(context, namespace, name).await,
        Key::DaemonSet(namespace, name) => daemon_set::reconcile(context, namespace, name).await,
        Key::Job(namespace, name) => job::reconcile(context, namespace, name).await,
        Key::Claim(namespace, name) => storage::claim(context, namespace, name).await,
        Key::Limits(namespace) => limits::reconcile(context, namespace).await,
        Key::Volume(name) => storage::volume(context, name).await,
        Key::CronJob(namespace, name) => cron_job::reconcile(context, namespace, name).await,
        Key::Autoscaler(namespace, name) => autoscaler::reconcile(context, namespace, name).await,
        Key::Tainted(namespace, name) => taint_eviction::reconcile(context, namespace, name).await,
        Key::TokenSecret(namespace, name) => token_secret::reconcile(context, namespace, name).await,
        Key::Service(namespace, name) => endpoint_slice::reconcile(context, namespace, name).await,
        Key::OwnerGone { namespace, uid } => garbage::owner_gone(context, namespace, uid).await,
        Key::Dependent { resource, namespace, name } => {
            garbage::dependent(context, resource, namespace, name).await
        }
        Key::Leaving { resource, namespace, name } => {
            garbage::leaving(context, resource, namespace, name).await
        }
    }
}

#[cfg(test)]
mod tests;
