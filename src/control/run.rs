//! The role's entry: signals, the control plane.

use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::{ControlPlane, ControlPlaneError, ControlPlaneOptions};

/// Runs the control plane of a cluster until SIGTERM or SIGINT.
pub async fn run(options: ControlPlaneOptions, cluster: Config) -> Result<(), ControlPlaneError> {
    sagene_base::crypto::install();
    let client = Client::try_from(cluster)?;
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
