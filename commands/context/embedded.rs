//! The embedded cluster of this machine, as the CLI sees it: where its kubeconfig is, and starting it.

use std::path::PathBuf;

use anyhow::anyhow;
use sagene_cluster::launcher::{self, LaunchOptions, RunningCluster};

use crate::exit::Failure;

/// Name of its kubeconfig context.
pub(crate) use sagene_cluster::launcher::CONTEXT as EMBEDDED_CONTEXT;

/// The kubeconfig it wrote, if there is one.
pub(crate) fn kubeconfig() -> Option<PathBuf> {
    launcher::kubeconfig_path(None)
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
