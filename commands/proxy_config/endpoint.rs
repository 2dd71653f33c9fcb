//! `proxy-config endpoint`: endpoints with their health, from the admin path `/clusters`.

use clap::Args;
use serde_json::{Value, json};

use super::Ask;
use super::dump::{field, list, number, path, text};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Endpoint {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    filter: EndpointFilter,
}

/// Filters shared with the dump's assignments.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct EndpointFilter {
    /// Address of the endpoint
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub(super) address: String,
    /// Port of the endpoint
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) cluster: String,
    /// HEALTHY, UNHEALTHY, DRAINING, TIMEOUT, DEGRADED, UNKNOWN
    #[arg(long, value_name = "STATUS", default_value = "")]
    pub(super) status: String,
}

impl Endpoint {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let answer = self.target.value(ask, "/clusters?format=json").await?;
        let clusters = select(&answer, &self.filter);
        ask.print(|| table(&clusters).map(|table| table.render()), &Value::Array(clusters.clone()))
    }
}

/// Clusters with the hosts that pass the filters; clusters without any are left out.
pub(super) fn select(answer: &Value, filter: &EndpointFilter) -> Vec<Value> {
    let mut clusters = Vec::new();
    for cluster in list(answer, "clusterStatuses") {
        let name = text(cluster, &["name"]);
        if !filter.cluster.is_empty() && !name.eq_ignore_ascii_case(&filter.cluster) {
            continue;
        }
        let hosts: Vec<&Value> = list(cluster, "hostStatuses").filter(|host| wanted(host, filter)).collect();
        if hosts.is_empty() {
            continue;
        }
        let mut kept = cluster.clone();
        if let Some(map) = kept.as_object_mut() {
            map.remove("host_statuses");
            map.insert("hostStatuses".to_owned(), json!(hosts));
        }
        clusters.push(kept);
    }
    clusters
}

fn wanted(host: &Value, filter: &EndpointFilter) -> bool {
    let (address, port) = socket(host);
    (filter.address.is_empty() || address.eq_ignore_ascii_case(&filter.address))
        && filter.port.is_none_or(|wanted| port == Some(u64::from(wanted)))
        && (filter.status.is_empty() || status(host).eq_ignore_ascii_case(&filter.status))
}

fn socket(host: &Value) -> (String, Option<u64>) {
    let address = field(host, "address").unwrap_or(&Value::Null);
    if let Some(socket) = field(address, "socketAddress") {
        return (
            text(socket, &["address"]).to_owned(),
            Some(number(socket, &["portValue"]).unwrap_or_default()),
        );
    }
    if let Some(pipe) = field(address, "pipe") {
        return (format!("unix://{}", text(pipe, &["path"])), None);
    }
    let name = text(address, &["envoyInternalAddress", "serverListenerName"]);
    (format!("envoy://{name}/{}", text(address, &["envoyInternalAddress", "endpointId"])), None)
}

fn status(host: &Value) -> &str {
    let status = text(host, &["healthStatus", "edsHealthStatus"]);
    if status.is_empty() { "UNKNOWN" } else { status }
}

/// The short view.
pub(super) fn table(clusters: &[Value]) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    for cluster in clusters {
        for host in list(cluster, "hostStatuses") {
            let (address, port) = socket(host);
            let endpoint = port.map_or_else(|| address.clone(), |port| format!("{address}:{port}"));
            let failed =
                path(host, &["healthStatus", "failedOutlierCheck"]).and_then(Value::as_bool) == Some(true);
            let outlier = if failed { "FAILED" } else { "OK" };
            let cluster = text(cluster, &["name"]).to_owned();
            rows.push(((address, port), [endpoint, status(host).to_owned(), outlier.to_owned(), cluster]));
        }
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0).then_with(|| left.1[3].cmp(&right.1[3])));
    let mut table = Table::new(["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], 5);
    for (_, row) in rows {
        table.row(row);
    }
    Ok(table)
}
