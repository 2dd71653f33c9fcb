//! The role's entry: cluster access as the environment gives it, signals, the control plane.

use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::{ControlPlane, ControlPlaneError, ControlPlaneOptions};

/// Runs the control plane until SIGTERM or SIGINT.
pub async fn run(options: ControlPlaneOptions) -> Result<(), ControlPlaneError> {
    sagene_base::crypto::install();
    let config = Config::infer().await?;
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
