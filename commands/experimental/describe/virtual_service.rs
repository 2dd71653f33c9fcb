//! A VirtualService: which of its routes reach a pod, and under which conditions.

use sagene_model::hostname::Hostname;
use serde_json::Value;

use super::destination_rule::Subsets;
use crate::kubernetes::{list, text};

/// The routes to a service, as far as they concern a pod of these subsets.
pub(super) fn lines(object: &Value, title: &str, host: &str, subsets: Option<&Subsets>) -> Vec<String> {
    let mut lines = vec![format!("VirtualService: {title}")];
    let namespace = text(object, "/metadata/namespace");
    let (mut reaching, mut facts, mut missed) = (0usize, Vec::new(), Vec::new());
    for route in list(object, "/spec/http") {
        let looked = Looked::at(route, namespace, host, subsets);
        if looked.reaches {
            reaching += 1;
            facts.extend(looked.facts);
        } else {
            missed.extend(looked.missed);
        }
    }
    let http = list(object, "/spec/http").count();
    if http > 0 && reaching == 0 {
        lines.push(format!("   WARNING: No destinations match pod subsets (checked {http} HTTP routes)"));
        lines.extend(missed.into_iter().map(|note| format!("      {note}")));
        return lines;
    }
    if facts.is_empty() && http > 0 {
        facts.push(format!("{http} HTTP route(s)"));
    }
    for (field, name) in [("/spec/tls", "TLS"), ("/spec/tcp", "TCP")] {
        let routes = list(object, field).count();
        if routes > 0 {
            facts.push(format!("{routes} {name} route(s)"));
        }
    }
    lines.extend(facts.into_iter().map(|fact| format!("   {fact}")));
    lines
}

/// The paths of a VirtualService that lead to a service, as gateways show them.
pub(super) fn paths(object: &Value, host: &str) -> String {
    let namespace = text(object, "/metadata/namespace");
    let routes = list(object, "/spec/http").filter(|route| Looked::at(route, namespace, host, None).named);
    let matches: Vec<String> = routes
        .flat_map(|route| {
            let conditions: Vec<String> = list(route, "/match").map(condition).collect();
            if conditions.is_empty() { vec!["/*".to_owned()] } else { conditions }
        })
        .collect();
    matches.join(", ")
}

/// What one HTTP route means for a pod.
#[derive(Default)]
struct Looked {
    /// A destination is the service.
    named: bool,
    /// A destination takes in the pod.
    reaches: bool,
    facts: Vec<String>,
    /// Why destinations do not take it in.
    missed: Vec<String>,
}

impl Looked {
    fn at(route: &Value, namespace: &str, host: &str, subsets: Option<&Subsets>) -> Self {
        let mut looked = Self::default();
        let mut elsewhere = 0usize;
        for destination in list(route, "/route") {
            let declared = text(destination, "/destination/host");
            if Hostname::resolve(declared, namespace, "cluster.local").as_str() != host {
                elsewhere += 1;
                continue;
            }
            looked.named = true;
            let subset = text(destination, "/destination/subset");
            if let Some(note) = missed(route, subset, subsets) {
                looked.missed.push(note);
                elsewhere += 1;
                continue;
            }
            looked.reaches = true;
            if let Some(weight) = destination["weight"].as_u64() {
                let subset = if subset.is_empty() { String::new() } else { format!(" subset \"{subset}\"") };
                looked.facts.push(format!("Route to host \"{declared}\"{subset} with weight {weight}%"));
            }
        }
        if looked.reaches {
            looked.conditions(route);
            if elsewhere > 0 {
                looked
                    .facts
                    .push(format!("{elsewhere} additional destination(s) that will not reach this pod"));
            }
        }
        looked
    }

    fn conditions(&mut self, route: &Value) {
        if let Some(fault) = route.get("fault") {
            let kinds: Vec<&str> =
                ["delay", "abort"].into_iter().filter(|it| fault.get(it).is_some()).collect();
            self.facts.push(format!("Fault injection: {}", kinds.join(", ")));
        }
        let conditions: Vec<String> = list(route, "/match").map(condition).collect();
        if !conditions.is_empty() {
            self.facts.push(format!("Match: {}", conditions.join(", ")));
        }
    }
}

/// Why a destination's subset does not take in the pod; `None` where it does.
fn missed(route: &Value, subset: &str, subsets: Option<&Subsets>) -> Option<String> {
    if subset.is_empty() {
        return None;
    }
    let Some(subsets) = subsets else {
        return Some(format!("Warning: Route to subset {subset} but NO DESTINATION RULE defining subsets!"));
    };
    if subsets.matching.iter().any(|name| name == subset) {
        return None;
    }
    if subsets.others.iter().any(|name| name == subset) {
        let conditions: Vec<String> = list(route, "/match").map(condition).collect();
        let when = if conditions.is_empty() { "everything".to_owned() } else { conditions.join(", ") };
        return Some(format!("Route to non-matching subset {subset} for ({when})"));
    }
    Some(format!("Warning: Route to UNKNOWN subset {subset}; check DestinationRule {}", subsets.rule))
}

/// One condition: a path, then headers.
fn condition(wanted: &Value) -> String {
    let mut words = Vec::new();
    if let Some(uri) = wanted.get("uri") {
        words.push(pattern(uri, "*"));
    }
    if let Some(method) = wanted.get("method") {
        words.push(format!("method {}", pattern(method, "*")));
    }
    let headers = wanted.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers: Vec<String> =
        headers.into_iter().map(|(name, value)| format!("{name}={}", pattern(value, "*"))).collect();
    if !headers.is_empty() {
        words.push(format!("when headers are {}", headers.join("; ")));
    }
    if words.is_empty() { "everything".to_owned() } else { words.join(" ") }
}

/// `exact`, `prefix*` or `~regex`.
fn pattern(value: &Value, tail: &str) -> String {
    let of = |kind: &str| value.get(kind).and_then(Value::as_str);
    match (of("exact"), of("prefix"), of("regex")) {
        (Some(exact), ..) => exact.to_owned(),
        (_, Some(prefix), _) => format!("{prefix}{tail}"),
        (.., Some(regex)) => format!("~{regex}"),
        _ => tail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_are_told_as_the_pod_sees_them() {
        let subsets = Subsets {
            rule: "reviews".into(),
            matching: vec!["v1".into()],
            others: vec!["v2".into(), "v3".into()],
        };
        let told = |http: Value| {
            let object = json!({"metadata": {"namespace": "default"}, "spec": {"http": http}});
            lines(&object, "reviews", "reviews.default.svc.cluster.local", Some(&subsets)).split_off(1)
        };
        let to = |subset: &str, weight: u64| json!({"destination": {"host": "reviews", "subset": subset}, "weight": weight});
        assert_eq!(
            told(json!([{"route": [to("v1", 80), to("v2", 20)]}])),
            [
                "   Route to host \"reviews\" subset \"v1\" with weight 80%",
                "   1 additional destination(s) that will not reach this pod",
            ]
        );
        let jason = json!([{"headers": {"end-user": {"exact": "jason"}}}]);
        let v2 = json!({"destination": {"host": "reviews", "subset": "v2"}});
        let unknown = json!({"destination": {"host": "reviews", "subset": "v9"}});
        assert_eq!(
            told(json!([{"match": jason, "route": [v2]}, {"route": [unknown]}])),
            [
                "   WARNING: No destinations match pod subsets (checked 2 HTTP routes)",
                "      Route to non-matching subset v2 for (when headers are end-user=jason)",
                "      Warning: Route to UNKNOWN subset v9; check DestinationRule reviews",
            ]
        );
        let v1 = json!({"destination": {"host": "reviews", "subset": "v1"}});
        assert_eq!(told(json!([{"route": [v1]}])), ["   1 HTTP route(s)"]);
    }

    #[test]
    fn gateways_show_paths() {
        let product = json!({"destination": {"host": "productpage"}});
        let matches = json!([{"uri": {"exact": "/productpage"}}, {"uri": {"prefix": "/static"}}]);
        let object = json!({"metadata": {"namespace": "default"}, "spec": {"http": [{"match": matches, "route": [product]}]}});
        assert_eq!(paths(&object, "productpage.default.svc.cluster.local"), "/productpage, /static*");
    }
}
