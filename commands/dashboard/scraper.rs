//! Metrics of every proxy, each through a port-forward: works from outside the cluster, with no more rights than kubectl needs.

use std::sync::Arc;
use std::time::SystemTime;

use kube::Client;
use sagene_console::telemetry::{Scrape, ScrapeError, Scraper, Target};
use serde_json::Value;

use super::objects::WatchedObjects;
use crate::exit::chain;
use crate::kubernetes::{PROXY, has_proxy, http_get, list, text};

/// Port and path of a proxy's own metrics.
const PORT: u16 = 15090;
const PATH: &str = "/stats/prometheus";
/// Port of a proxy's admin server, which knows the last spans.
const ADMIN_PORT: u16 = 15000;

/// Scrapes through the API server.
pub(super) struct PortForwardScraper {
    client: Client,
    objects: Arc<WatchedObjects>,
}

impl PortForwardScraper {
    pub(super) const fn new(client: Client, objects: Arc<WatchedObjects>) -> Self {
        Self { client, objects }
    }
}

impl Scraper for PortForwardScraper {
    fn targets(&self) -> Vec<Target> {
        let pods = self.objects.all("Pod");
        let proxied = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running" && has_proxy(pod));
        proxied
            .map(|pod| Target {
                namespace: text(pod, "/metadata/namespace").to_owned(),
                pod: text(pod, "/metadata/name").to_owned(),
                uid: text(pod, "/metadata/uid").to_owned(),
                address: text(pod, "/status/podIP").to_owned(),
                started: started(pod),
            })
            .collect()
    }

    fn scrape<'a>(&'a self, target: &'a Target) -> Scrape<'a> {
        Box::pin(async move {
            http_get(&self.client, &target.namespace, &target.pod, PORT, PATH).await.map_err(|failure| {
                ScrapeError {
                    pod: format!("{}.{}", target.pod, target.namespace),
                    reason: chain(&failure.error),
                }
            })
        })
    }

    fn spans<'a>(&'a self, target: &'a Target) -> Scrape<'a> {
        Box::pin(async move {
            http_get(&self.client, &target.namespace, &target.pod, ADMIN_PORT, "/spans").await.map_err(
                |failure| ScrapeError {
                    pod: format!("{}.{}", target.pod, target.namespace),
                    reason: chain(&failure.error),
                },
            )
        })
    }
}

/// When the proxy's container began; the pod, where its kubelet does not say.
fn started(pod: &Value) -> Option<SystemTime> {
    let proxy = list(pod, "/status/containerStatuses")
        .chain(list(pod, "/status/initContainerStatuses"))
        .find(|container| text(container, "/name") == PROXY)
        .map(|container| text(container, "/state/running/startedAt"));
    let stamp = proxy.filter(|stamp| !stamp.is_empty()).unwrap_or_else(|| text(pod, "/status/startTime"));
    stamp.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
