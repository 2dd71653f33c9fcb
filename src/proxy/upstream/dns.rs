//! Resolving the names of DNS clusters, again and again; a failure keeps the last addresses.

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
            if let Some(assignment) = resolve(&resolver, cluster).await {
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

async fn resolve(resolver: &TokioResolver, cluster: &Cluster) -> Option<Assignment> {
    let mut endpoints = Vec::new();
    for target in &cluster.dns {
        let addresses = match target.host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => resolver.lookup_ip(target.host.as_str()).await.ok()?.iter().collect(),
        };
        let count = if cluster.discovery == Discovery::LogicalDns { 1 } else { addresses.len() };
        for ip in addresses.into_iter().take(count) {
            endpoints.push(Arc::new(Endpoint {
                address: (ip, target.port).into(),
                weight: target.weight,
                priority: target.priority,
                healthy: true,
                hostname: target.host.clone(),
                locality: Default::default(),
                locality_weight: 0,
                transport_labels: target.tls_mode.clone(),
                workload: None,
            }));
        }
    }
    endpoints.sort_by_key(|endpoint| endpoint.address);
    Some(Assignment { endpoints })
}
