//! `proxy-config route`.

use std::collections::HashSet;

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::{Dump, field, istio_config, list, path, text};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Route {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    filter: RouteFilter,
    /// One line per route; --verbose=false shows one per route configuration
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    verbose: bool,
}

/// Filters that `all` takes too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RouteFilter {
    /// Name of the route configuration
    #[arg(long = "name", value_name = "NAME", default_value = "")]
    route_name: String,
}

impl Route {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?mask=dynamic_route_configs,static_route_configs").await?;
        let routes = select(&dump, &self.filter);
        ask.print(|| table(&routes, self.verbose).map(|table| table.render()), &Value::Array(routes.clone()))
    }
}

/// Route configurations of a dump that pass the filter: numbers first, ascending, then names.
pub(crate) fn select(dump: &Dump, filter: &RouteFilter) -> Vec<Value> {
    let mut entries: Vec<&Value> = Vec::new();
    for section in dump.sections("RoutesConfigDump") {
        entries.extend(list(section, "dynamicRouteConfigs"));
        entries.extend(list(section, "staticRouteConfigs"));
    }
    entries.extend(dump.entries("RoutesConfigDump.DynamicRouteConfig"));
    entries.extend(dump.entries("RoutesConfigDump.StaticRouteConfig"));
    let mut routes: Vec<Value> =
        entries.into_iter().filter_map(|entry| field(entry, "routeConfig")).cloned().collect();
    routes.retain(|route| filter.route_name.is_empty() || text(route, &["name"]) == filter.route_name);
    routes.sort_by_cached_key(|route| {
        let name = text(route, &["name"]).to_owned();
        (name.parse::<u32>().unwrap_or(u32::MAX), name)
    });
    routes
}

/// The short view.
pub(super) fn table(routes: &[Value], verbose: bool) -> Result<Table, Failure> {
    if routes.is_empty() {
        return Err(Failure::new("no routes found"));
    }
    if !verbose {
        let mut table = Table::new(["NAME", "VIRTUAL HOSTS"], 5);
        for route in routes {
            table.row([text(route, &["name"]).to_owned(), list(route, "virtualHosts").count().to_string()]);
        }
        return Ok(table);
    }
    let mut table = Table::new(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], 5);
    for config in routes {
        for host in list(config, "virtualHosts") {
            let begin = || {
                [
                    text(config, &["name"]).to_owned(),
                    text(host, &["name"]).to_owned(),
                    described_domains(host),
                ]
            };
            let mut routes = list(host, "routes").peekable();
            if routes.peek().is_none() {
                table.row(begin().into_iter().chain(["/*".to_owned(), "404".to_owned()]));
            }
            for route in routes.filter(|route| text(route, &["route", "cluster"]) != "PassthroughCluster") {
                table.row(begin().into_iter().chain([described_match(route), istio_config(route)]));
            }
        }
    }
    Ok(table)
}

/// Two domains and how many more; forms with a port and longer forms of the same host are left out.
pub(super) fn described_domains(host: &Value) -> String {
    let domains: Vec<&str> = list(host, "domains").filter_map(Value::as_str).collect();
    if let [only] = domains.as_slice() {
        return (*only).to_owned();
    }
    let without_port: Vec<&str> = domains.iter().copied().filter(|domain| !has_port(domain)).collect();
    let known: HashSet<&str> = without_port.iter().copied().collect();
    let shorter_known = |domain: &str| {
        [".svc.cluster.local", ".svc"]
            .iter()
            .any(|suffix| domain.strip_suffix(suffix).is_some_and(|it| known.contains(it)))
    };
    let shown: Vec<&str> = without_port.iter().copied().filter(|domain| !shorter_known(domain)).collect();
    match shown.len() {
        0..=2 => shown.join(", "),
        more => format!("{} + {} more...", shown[..2].join(", "), more - 2),
    }
}

fn has_port(domain: &str) -> bool {
    match domain.rsplit_once(':') {
        // An IPv6 address has colons of its own; only `]:port` is a port there.
        Some((before, after)) => {
            (!before.contains(':') || before.ends_with(']'))
                && after.bytes().all(|it| it.is_ascii_digit() || it == b'*')
        }
        None => false,
    }
}

/// What a route matches by path.
pub(super) fn described_match(route: &Value) -> String {
    let matched = field(route, "match").unwrap_or(&Value::Null);
    let of = |name: &str| field(matched, name).and_then(Value::as_str);
    if let Some(prefix) = of("prefix") {
        return format!("{prefix}*");
    }
    if let Some(prefix) = of("pathSeparatedPrefix") {
        return format!("PathPrefix:{prefix}");
    }
    if let Some(exact) = of("path") {
        return exact.to_owned();
    }
    match path(matched, &["safeRegex", "regex"]).and_then(Value::as_str) {
        Some(regex) => format!("regex {regex}"),
        None => String::new(),
    }
}
