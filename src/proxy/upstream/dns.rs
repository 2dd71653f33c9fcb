//! Resolving the names of DNS clusters, again and again; a failure keeps the last addresses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;

use crate::config::{Assignment, Cluster, ConfigStore, Discovery, Endpoint};

/// Pause between rounds.
const REFRESH: Duration = Duration::from_secs(30);

/// Follows the configuration and resolves. Runs until dropped.
pub(crate) async fn run(store: Arc<ConfigStore>) {
    let Ok(Ok(resolver)) = TokioResolver::builder_tokio().map(hickory_resolver::ResolverBuilder::build)
    else {
        tracing::warn!("no DNS resolver is configured (/etc/resolv.conf); clusters by name stay empty");
        return;
    };
    let mut changes = store.changes();
    loop {
        let snapshot = store.snapshot();
        let clusters: Vec<_> = snapshot.clusters.values().filter(|c| !c.dns.is_empty()).cloned().collect();
        for cluster in &clusters {
            let before = snapshot.endpoints(cluster).cloned();
            if let Some(assignment) = resolve(&resolver, cluster, before.as_deref()).await {
                store.set_resolved(&cluster.name, assignment);
            }
        }
        let known: Vec<u64> = clusters.iter().map(|c| c.hash).collect();
        let timer = tokio::time::sleep(REFRESH);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                () = &mut timer => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = store.snapshot();
                    if now.clusters.values().any(|c| !c.dns.is_empty() && !known.contains(&c.hash)) {
                        break;
                    }
                }
            }
        }
    }
}

/// The addresses of all names of a cluster; of those that do not resolve the ones `before`. `None` = none does.
async fn resolve(
    resolver: &TokioResolver,
    cluster: &Cluster,
    before: Option<&Assignment>,
) -> Option<Assignment> {
    let mut endpoints = Vec::new();
    let mut any = false;
    for target in &cluster.dns {
        let addresses: Vec<IpAddr> = match target.host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => match resolver.lookup_ip(target.host.as_str()).await {
                Ok(found) => found.iter().collect(),
                Err(_) => {
                    let known = before.iter().flat_map(|before| &before.endpoints);
                    let same =
                        known.filter(|one| one.hostname == target.host && one.address.port() == target.port);
                    endpoints.extend(same.cloned());
                    continue;
                }
            },
        };
        any = true;
        let count = if cluster.discovery == Discovery::LogicalDns { 1 } else { addresses.len() };
        for ip in addresses.into_iter().take(count) {
            endpoints.push(Arc::new(Endpoint {
                address: (ip, target.port).into(),
                also_at: Vec::new(),
                weight: target.weight,
                priority: target.priority,
                healthy: true,
                hostname: target.host.clone(),
                locality: target.locality.clone(),
                locality_weight: target.locality_weight,
                transport_labels: target.tls_mode.clone(),
                workload: None,
            }));
        }
    }
    endpoints.sort_by_key(|endpoint| endpoint.address);
    any.then_some(Assignment { endpoints })
}
