//! The built-in console, wired to a cluster: objects by watch, metrics through port-forwards.

use std::sync::Arc;
use std::time::Duration;

use sagene_console::{Console, ConsoleOptions};

use super::mesh_view::ClusterView;
use super::objects::WatchedObjects;
use super::scraper::PortForwardScraper;
use crate::context::Cluster;
use crate::exit::Failure;

/// Time between scrapes.
const INTERVAL: Duration = Duration::from_secs(2);

/// Starts watching and returns a console that is ready to serve.
pub(super) async fn start(cluster: &Cluster) -> Result<Console, Failure> {
    let objects = Arc::new(WatchedObjects::default());
    objects.watch_all(&cluster.client).await?;
    Ok(Console::new(ConsoleOptions {
        scraper: Arc::new(PortForwardScraper::new(cluster.client.clone(), objects.clone())),
        mesh: Arc::new(ClusterView::new(cluster.client.clone(), objects)),
        interval: INTERVAL,
        source: format!("Live from {}, through the Kubernetes API", cluster.description),
    }))
}
