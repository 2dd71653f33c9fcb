//! The difference between what the control plane would send and what a proxy runs: clusters, listeners, routes.

use serde_json::Value;

use crate::exit::Failure;
use crate::proxy_config::dump::{Dump, camel_case, field, list, path, text};
use crate::unified_diff;

/// Lines of context around a change.
const CONTEXT: usize = 7;

/// Three sections, each a match or a unified diff.
pub(super) fn render(wanted: &str, actual: &str) -> Result<String, Failure> {
    let parse = |text: &str, who: &str| -> Result<Dump, Failure> {
        let value = serde_json::from_str(text);
        value
            .map(Dump::new)
            .map_err(|error| Failure::from(error).context(format!("the configuration dump of the {who}")))
    };
    let (wanted, actual) = (parse(wanted, "control plane")?, parse(actual, "proxy")?);
    let mut out = String::new();
    for (title, select) in
        [("Clusters", clusters as fn(&Dump) -> Vec<Value>), ("Listeners", listeners), ("Routes", routes)]
    {
        let (left, right) = (pretty(&select(&wanted))?, pretty(&select(&actual))?);
        if left == right {
            let loaded = if title == "Routes" { last_loaded(&actual) } else { String::new() };
            out.push_str(&format!("{title} Match{loaded}\n"));
            continue;
        }
        out.push_str(&format!("{title} Don't Match\n"));
        let (wanted, actual) = (format!("Istiod {title}"), format!("Envoy {title}"));
        out.push_str(&unified_diff::between((&wanted, &left), (&actual, &right), CONTEXT));
    }
    Ok(out)
}

fn pretty(resources: &[Value]) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(resources)?))
}

/// Whole numbers without a fraction: one proxy writes `100`, another `100.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let found = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            // Beyond this a float is no longer exact.
            if let Some(float) = found.filter(|float| float.abs() < 9e15) {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn sorted(mut resources: Vec<Value>) -> Vec<Value> {
    resources.iter_mut().for_each(whole_numbers);
    resources.sort_by_cached_key(|resource| text(resource, &["name"]).to_owned());
    resources
}

fn clusters(dump: &Dump) -> Vec<Value> {
    let sections = dump.sections("ClustersConfigDump");
    let entries = sections.flat_map(|section| {
        list(section, "dynamicActiveClusters").chain(list(section, "dynamicWarmingClusters"))
    });
    sorted(entries.filter_map(|entry| field(entry, "cluster")).map(camel_case).collect())
}

fn listeners(dump: &Dump) -> Vec<Value> {
    let entries = dump.sections("ListenersConfigDump").flat_map(|section| list(section, "dynamicListeners"));
    let found = entries.filter_map(|entry| path(entry, &["activeState", "listener"]));
    sorted(found.map(camel_case).collect())
}

fn routes(dump: &Dump) -> Vec<Value> {
    let entries = dump.sections("RoutesConfigDump").flat_map(|section| list(section, "dynamicRouteConfigs"));
    sorted(entries.filter_map(|entry| field(entry, "routeConfig")).map(camel_case).collect())
}

/// ` (RDS last loaded at …)`, from the youngest route configuration.
fn last_loaded(dump: &Dump) -> String {
    let entries = dump.sections("RoutesConfigDump").flat_map(|section| list(section, "dynamicRouteConfigs"));
    let times = entries.map(|entry| text(entry, &["lastUpdated"])).filter(|time| !time.is_empty());
    match times.max().and_then(|time| time.parse::<jiff::Timestamp>().ok()) {
        Some(time) => {
            let local = time.to_zoned(jiff::tz::TimeZone::system());
            format!(" (RDS last loaded at {})", local.strftime("%a, %d %b %Y %H:%M:%S %Z"))
        }
        None => String::new(),
    }
}
