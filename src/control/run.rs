//! The role's entry: cluster access as the environment gives it, signals, the control plane.

use std::path::Path;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::{ControlPlane, ControlPlaneError, ControlPlaneOptions};

/// Runs the control plane until SIGTERM or SIGINT, against the cluster of `kubeconfig`, else the one it runs in or that the
/// environment names.
pub async fn run(options: ControlPlaneOptions, kubeconfig: Option<&Path>) -> Result<(), ControlPlaneError> {
    sagene_base::crypto::install();
    let config = match kubeconfig {
        Some(file) => {
            let file = Kubeconfig::read_from(file)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    let client = Client::try_from(config)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ControlPlaneError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControlPlaneError::Signal)?;
    let control_plane = ControlPlane::build(options, client).await?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
    };
    control_plane.run(stop).await
}
