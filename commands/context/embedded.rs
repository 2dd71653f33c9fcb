//! The embedded cluster of this machine, as the CLI sees it: where its kubeconfig is, and starting it.

use std::path::PathBuf;

use anyhow::anyhow;
use sagene_cluster::launcher::{self, ClusterStatus, LaunchOptions};

use crate::exit::Failure;

/// Name of its kubeconfig context.
pub(crate) use sagene_cluster::launcher::CONTEXT as EMBEDDED_CONTEXT;
/// A cluster that runs.
pub(crate) use sagene_cluster::launcher::RunningCluster;

/// The kubeconfig it wrote, if there is one.
pub(crate) fn kubeconfig() -> Option<PathBuf> {
    launcher::kubeconfig_path(None)
}

/// The cluster, where another version of the program runs it.
pub(crate) fn of_another_version() -> Option<RunningCluster> {
    match launcher::status(None) {
        Ok(ClusterStatus::Running(cluster)) if cluster.version != env!("CARGO_PKG_VERSION") => Some(cluster),
        _ => None,
    }
}

/// Has this program run it. The launcher waits by blocking, as when it starts one.
pub(crate) async fn renew(cluster: RunningCluster) -> Result<RunningCluster, Failure> {
    match tokio::task::spawn_blocking(move || launcher::renew(&cluster)).await {
        Ok(Ok(cluster)) => Ok(cluster),
        Ok(Err(error)) => Err(Failure::from(error).context("the embedded cluster was not taken over")),
        Err(error) => Err(anyhow!("taking over the embedded cluster broke off: {error}").into()),
    }
}

/// Starts the cluster, or finds it running. The launcher waits by blocking, so it gets a thread of its own and spinners turn on.
pub(crate) async fn start() -> Result<RunningCluster, Failure> {
    let started = tokio::task::spawn_blocking(|| launcher::ensure_running(&LaunchOptions::default())).await;
    match started {
        Ok(Ok(cluster)) => Ok(cluster),
        Ok(Err(error)) => Err(Failure::from(error).context("the embedded cluster did not start")),
        Err(error) => Err(anyhow!("the start of the embedded cluster broke off: {error}").into()),
    }
}
