//! `proxy-config eds`: endpoint assignments as the dump has them.

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::{Dump, field, list, number, text};
use super::endpoint::EndpointFilter;
use super::source::DumpTarget;
use crate::exit::Outcome;
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Eds {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    filter: EndpointFilter,
}

impl Eds {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?include_eds=true").await?;
        let assignments: Vec<Value> = assignments(&dump)
            .into_iter()
            .filter(|it| rows(it, &self.filter).next().is_some())
            .cloned()
            .collect();
        ask.print(|| Ok(self.table(&assignments)), &Value::Array(assignments.clone()))
    }

    fn table(&self, assignments: &[Value]) -> String {
        let mut table = Table::new(["NAME", "STATUS", "LOCALITY", "CLUSTER"], 5);
        let mut all: Vec<[String; 4]> = assignments.iter().flat_map(|it| rows(it, &self.filter)).collect();
        all.sort();
        for row in all {
            table.row(row);
        }
        table.render()
    }
}

fn assignments(dump: &Dump) -> Vec<&Value> {
    let mut found = Vec::new();
    for section in dump.sections("EndpointsConfigDump") {
        for entries in ["dynamicEndpointConfigs", "staticEndpointConfigs"] {
            found.extend(list(section, entries).filter_map(|entry| field(entry, "endpointConfig")));
        }
    }
    found
}

fn rows<'a>(
    assignment: &'a Value,
    filter: &'a EndpointFilter,
) -> impl Iterator<Item = [String; 4]> + use<'a> {
    let cluster = text(assignment, &["clusterName"]);
    let hosts = list(assignment, "endpoints")
        .flat_map(|group| list(group, "lbEndpoints").map(move |host| (group, host)));
    hosts.filter_map(move |(group, host)| {
        let address = text(host, &["endpoint", "address", "socketAddress", "address"]);
        let port = number(host, &["endpoint", "address", "socketAddress", "portValue"]);
        let name = port.map_or_else(|| address.to_owned(), |port| format!("{address}:{port}"));
        let status = match text(host, &["healthStatus"]) {
            "" => "UNKNOWN",
            status => status,
        };
        let wanted = (filter.address.is_empty() || filter.address == address || filter.address == name)
            && filter.port.is_none_or(|wanted| port == Some(u64::from(wanted)))
            && (filter.cluster.is_empty() || filter.cluster.eq_ignore_ascii_case(cluster))
            && (filter.status.is_empty() || filter.status.eq_ignore_ascii_case(status));
        let locality = ["region", "zone", "subZone"].map(|part| text(group, &["locality", part]));
        let locality = locality.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        wanted.then(|| [name, status.to_owned(), locality, cluster.to_owned()])
    })
}
