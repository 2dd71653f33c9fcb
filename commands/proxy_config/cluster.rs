//! `proxy-config cluster`.

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::{Dump, field, istio_config, list, text};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Cluster {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    filter: ClusterFilter,
    /// Port of the service
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// Filters that `all` takes too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClusterFilter {
    /// Part of the service's host name
    #[arg(long, value_name = "HOST", default_value = "")]
    fqdn: String,
    /// inbound or outbound
    #[arg(long, value_name = "DIRECTION", default_value = "")]
    direction: String,
    /// Subset of a DestinationRule
    #[arg(long, value_name = "NAME", default_value = "")]
    subset: String,
}

/// The four parts of `direction|port|subset|fqdn`; other names stand alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClusterName {
    pub(super) fqdn: String,
    pub(super) subset: String,
    pub(super) port: Option<u32>,
    pub(super) direction: String,
}

impl ClusterName {
    pub(super) fn parse(name: &str) -> Self {
        let parts: Vec<&str> = name.split('|').collect();
        match parts.as_slice() {
            [direction, port, subset, fqdn, ..] => Self {
                fqdn: (*fqdn).to_owned(),
                subset: (*subset).to_owned(),
                port: port.parse().ok(),
                direction: (*direction).to_owned(),
            },
            _ => Self { fqdn: name.to_owned(), subset: String::new(), port: None, direction: String::new() },
        }
    }
}

impl Cluster {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self
            .target
            .dump(ask, "?mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters")
            .await?;
        let clusters = select(&dump, &self.filter, self.port);
        ask.print(|| table(&clusters).map(|table| table.render()), &Value::Array(clusters.clone()))
    }
}

/// Clusters of a dump that pass the filters, sorted as istioctl sorts them.
pub(crate) fn select(dump: &Dump, filter: &ClusterFilter, port: Option<u16>) -> Vec<Value> {
    let mut clusters: Vec<Value> =
        all(dump).into_iter().filter(|cluster| wanted(cluster, filter, port)).collect();
    clusters.sort_by_cached_key(|cluster| ClusterName::parse(text(cluster, &["name"])));
    clusters
}

fn all(dump: &Dump) -> Vec<Value> {
    let mut clusters = Vec::new();
    for section in dump.sections("ClustersConfigDump") {
        for entries in ["dynamicActiveClusters", "dynamicWarmingClusters", "staticClusters"] {
            clusters.extend(list(section, entries).filter_map(|entry| field(entry, "cluster")).cloned());
        }
    }
    for kind in ["ClustersConfigDump.DynamicCluster", "ClustersConfigDump.StaticCluster"] {
        clusters.extend(dump.entries(kind).filter_map(|entry| field(entry, "cluster")).cloned());
    }
    clusters
}

fn wanted(cluster: &Value, filter: &ClusterFilter, port: Option<u16>) -> bool {
    let name = text(cluster, &["name"]);
    let parts = ClusterName::parse(name);
    let unfiltered =
        filter.fqdn.is_empty() && filter.direction.is_empty() && filter.subset.is_empty() && port.is_none();
    unfiltered
        || (parts.fqdn.contains(&filter.fqdn)
            && parts.direction.contains(&filter.direction)
            && parts.subset.contains(&filter.subset)
            && port.is_none_or(|port| name.contains(&format!("|{port}|"))))
}

/// The short view.
pub(super) fn table(clusters: &[Value]) -> Result<Table, Failure> {
    if clusters.is_empty() {
        return Err(Failure::new("no clusters found"));
    }
    let mut table =
        Table::new(["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"], 5);
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for cluster in clusters {
        let name = ClusterName::parse(text(cluster, &["name"]));
        let port = name.port.map(|port| port.to_string()).unwrap_or_default();
        table.row([
            name.fqdn,
            dash(port),
            dash(name.subset),
            dash(name.direction),
            kind(cluster),
            istio_config(cluster),
        ]);
    }
    Ok(table)
}

fn kind(cluster: &Value) -> String {
    let custom = text(cluster, &["clusterType", "name"]);
    match text(cluster, &["type"]) {
        "" if !custom.is_empty() => custom.to_owned(),
        "" => "STATIC".to_owned(),
        kind => kind.to_owned(),
    }
}
