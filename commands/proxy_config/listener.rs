//! `proxy-config listener`.

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::{Dump, field, list, number, path, text};
use super::route::{described_domains, described_match};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Listener {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    filter: ListenerFilter,
    /// Port of the listener
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// One line per filter chain; --verbose=false shows one per listener
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    verbose: bool,
}

/// Filters that `all` takes too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListenerFilter {
    /// Address of the listener
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    address: String,
    /// HTTP, TCP, HTTP+TCP or UNKNOWN
    #[arg(long = "type", value_name = "TYPE", default_value = "")]
    kind: String,
}

impl Listener {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?mask=dynamic_listeners,static_listeners").await?;
        let listeners = select(&dump, &self.filter, self.port);
        ask.print(
            || table(&listeners, self.verbose).map(|table| table.render()),
            &Value::Array(listeners.clone()),
        )
    }
}

/// Listeners of a dump that pass the filters, sorted by port, address and type.
pub(crate) fn select(dump: &Dump, filter: &ListenerFilter, port: Option<u16>) -> Vec<Value> {
    let mut listeners = Vec::new();
    for section in dump.sections("ListenersConfigDump") {
        listeners.extend(list(section, "dynamicListeners").filter_map(active));
        listeners.extend(list(section, "staticListeners").filter_map(|entry| field(entry, "listener")));
    }
    listeners.extend(dump.entries("ListenersConfigDump.DynamicListener").filter_map(active));
    listeners.extend(
        dump.entries("ListenersConfigDump.StaticListener").filter_map(|entry| field(entry, "listener")),
    );
    listeners.retain(|listener| {
        (filter.address.is_empty() || address(listener).eq_ignore_ascii_case(&filter.address))
            && (filter.kind.is_empty() || kind(listener).eq_ignore_ascii_case(&filter.kind))
            && port.is_none_or(|port| self::port(listener) == u64::from(port))
    });
    listeners
        .sort_by_cached_key(|listener| (self::port(listener), address(listener).to_owned(), kind(listener)));
    listeners.into_iter().cloned().collect()
}

fn active(entry: &Value) -> Option<&Value> {
    path(entry, &["activeState", "listener"]).or_else(|| path(entry, &["warmingState", "listener"]))
}

fn address(listener: &Value) -> &str {
    let socket = text(listener, &["address", "socketAddress", "address"]);
    if socket.is_empty() { text(listener, &["address", "pipe", "path"]) } else { socket }
}

fn addresses(listener: &Value) -> String {
    let more = list(listener, "additionalAddresses")
        .map(|entry| text(entry, &["address", "socketAddress", "address"]));
    std::iter::once(address(listener)).chain(more).collect::<Vec<_>>().join(",")
}

fn port(listener: &Value) -> u64 {
    number(listener, &["address", "socketAddress", "portValue"]).unwrap_or_default()
}

/// The chains, the default one last.
fn chains(listener: &Value) -> Vec<&Value> {
    list(listener, "filterChains").chain(field(listener, "defaultFilterChain")).collect()
}

fn kind(listener: &Value) -> &'static str {
    let has = |name: &str| {
        chains(listener)
            .iter()
            .any(|chain| list(chain, "filters").any(|filter| text(filter, &["name"]) == name))
    };
    match (has(HTTP), has(TCP)) {
        (true, true) => "HTTP+TCP",
        (true, false) => "HTTP",
        (false, true) => "TCP",
        (false, false) => "UNKNOWN",
    }
}

const HTTP: &str = "envoy.filters.network.http_connection_manager";
const TCP: &str = "envoy.filters.network.tcp_proxy";

/// The short view.
pub(super) fn table(listeners: &[Value], verbose: bool) -> Result<Table, Failure> {
    if listeners.is_empty() {
        return Err(Failure::new("no listeners found"));
    }
    if !verbose {
        let mut table = Table::new(["ADDRESSES", "PORT", "TYPE"], 1);
        for listener in listeners {
            table.row([addresses(listener), port(listener).to_string(), kind(listener).to_owned()]);
        }
        return Ok(table);
    }
    let mut table = Table::new(["ADDRESSES", "PORT", "MATCH", "DESTINATION"], 1);
    for listener in listeners {
        let mut rows: Vec<(String, String)> =
            chains(listener).into_iter().map(|chain| (described_chain(chain), destination(chain))).collect();
        rows.sort_by(|left, right| right.1.cmp(&left.1));
        for (matched, destination) in rows {
            table.row([addresses(listener), port(listener).to_string(), matched, destination]);
        }
    }
    Ok(table)
}

/// `SNI: a; Trans: tls; App: …; Addr: …`, or `ALL`.
fn described_chain(chain: &Value) -> String {
    let nothing = Value::Null;
    let matched = field(chain, "filterChainMatch").unwrap_or(&nothing);
    let texts = |name: &str| list(matched, name).filter_map(Value::as_str).collect::<Vec<_>>();
    let mut parts = Vec::new();
    let names = texts("serverNames");
    if !names.is_empty() {
        parts.push(format!("SNI: {}", names.join(",")));
    }
    let transport = text(matched, &["transportProtocol"]);
    if !transport.is_empty() {
        parts.push(format!("Trans: {transport}"));
    }
    let protocols = texts("applicationProtocols");
    if !protocols.is_empty() {
        parts.push(format!("App: {}", described_protocols(&protocols)));
    }
    let port = number(matched, &["destinationPort"]).map(|port| format!(":{port}")).unwrap_or_default();
    let ranges: Vec<String> = list(matched, "prefixRanges")
        .map(|range| {
            let length = number(range, &["prefixLen"]).unwrap_or_default();
            format!("{}/{length}", text(range, &["addressPrefix"]))
        })
        .collect();
    if !ranges.is_empty() {
        parts.push(format!("Addr: {}{port}", ranges.join(",")));
    } else if !port.is_empty() {
        parts.push(format!("Addr: *{port}"));
    }
    if parts.is_empty() { "ALL".to_owned() } else { parts.join("; ") }
}

fn described_protocols(protocols: &[&str]) -> String {
    match protocols {
        ["istio-http/1.0", "istio-http/1.1", "istio-h2"] => "HTTP TLS".to_owned(),
        ["istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"] => "Istio HTTP Plain".to_owned(),
        ["istio-peer-exchange", "istio"] => "TCP TLS".to_owned(),
        ["http/1.0", "http/1.1", "h2c"] => "HTTP".to_owned(),
        other => other.join(","),
    }
}

fn destination(chain: &Value) -> String {
    for filter in list(chain, "filters") {
        let config = field(filter, "typedConfig").unwrap_or(&Value::Null);
        match text(filter, &["name"]) {
            HTTP => {
                if let Some(inline) = field(config, "routeConfig") {
                    return inline_route(inline);
                }
                return match text(config, &["rds", "routeConfigName"]) {
                    "" => "HTTP".to_owned(),
                    name => format!("Route: {name}"),
                };
            }
            TCP => return tcp_destination(config),
            _ => {}
        }
    }
    "Non-HTTP/Non-TCP".to_owned()
}

fn tcp_destination(config: &Value) -> String {
    let cluster = text(config, &["cluster"]);
    if cluster.is_empty() {
        let weighted = field(config, "weightedClusters").unwrap_or(&Value::Null);
        let names: Vec<&str> = list(weighted, "clusters").map(|entry| text(entry, &["name"])).collect();
        return format!("Cluster: {}", names.join(","));
    }
    if cluster.contains("Cluster") { cluster.to_owned() } else { format!("Cluster: {cluster}") }
}

/// A route configuration inside the listener; one that sends everything to one cluster is shown as that cluster.
fn inline_route(config: &Value) -> String {
    let hosts: Vec<&Value> = list(config, "virtualHosts").collect();
    if let [host] = hosts.as_slice()
        && list(host, "domains").filter_map(Value::as_str).eq(["*"])
        && let [route] = list(host, "routes").collect::<Vec<_>>().as_slice()
        && text(route, &["match", "prefix"]) == "/"
        && !text(route, &["route", "cluster"]).is_empty()
    {
        let cluster = text(route, &["route", "cluster"]);
        return if cluster.contains("Cluster") { cluster.to_owned() } else { format!("Cluster: {cluster}") };
    }
    let described: Vec<String> = hosts
        .iter()
        .map(|host| {
            let matches: Vec<String> = list(host, "routes").map(described_match).collect();
            format!("{} {}", described_domains(host), matches.join(", "))
        })
        .collect();
    format!("Inline Route: {}", described.join("; "))
}
