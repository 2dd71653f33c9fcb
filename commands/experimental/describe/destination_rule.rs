//! A DestinationRule: which of its subsets a pod belongs to, and what it says about traffic.

use serde_json::Value;

use crate::kubernetes::{list, text};

/// The subsets of a rule, told apart by whether a pod is in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subsets {
    /// Name of the rule.
    pub(super) rule: String,
    pub(super) matching: Vec<String>,
    pub(super) others: Vec<String>,
}

impl Subsets {
    /// Looks where a pod belongs.
    pub(super) fn of(rule: &Value, pod: &Value) -> Self {
        let labels = &pod["metadata"]["labels"];
        let holds = |subset: &&Value| {
            let wanted = subset.get("labels").and_then(Value::as_object).into_iter().flatten();
            wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let (matching, others): (Vec<&Value>, Vec<&Value>) = list(rule, "/spec/subsets").partition(holds);
        let names =
            |subsets: Vec<&Value>| subsets.into_iter().map(|it| text(it, "/name").to_owned()).collect();
        Self {
            rule: text(rule, "/metadata/name").to_owned(),
            matching: names(matching),
            others: names(others),
        }
    }
}

/// The rule in words.
pub(super) fn lines(rule: &Value, title: &str, pod: &Value) -> Vec<String> {
    let mut lines = vec![format!("DestinationRule: {title} for \"{}\"", text(rule, "/spec/host"))];
    let subsets = Subsets::of(rule, pod);
    if !subsets.matching.is_empty() || !subsets.others.is_empty() {
        if subsets.matching.is_empty() {
            lines.push(
                "   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets would be used)".to_owned(),
            );
        } else {
            lines.push(format!("   Matching subsets: {}", subsets.matching.join(",")));
        }
        if !subsets.others.is_empty() {
            lines.push(format!("      (Non-matching subsets {})", subsets.others.join(",")));
        }
    }
    let Some(policy) = rule.pointer("/spec/trafficPolicy") else {
        lines.push("   No Traffic Policy".to_owned());
        return lines;
    };
    lines.extend(said(policy).into_iter().map(|line| format!("   {line}")));
    let mut ports = list(policy, "/portLevelSettings").peekable();
    if ports.peek().is_some() {
        lines.push("   Port Level Settings:".to_owned());
    }
    for port in ports {
        lines.push(format!("      {}:", port.pointer("/port/number").unwrap_or(&Value::Null)));
        lines.extend(said(port).into_iter().map(|line| format!("         {line}")));
    }
    lines
}

/// TLS and the names of the other blocks of a traffic policy.
fn said(policy: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(tls) = policy.get("tls") {
        let mode = Some(text(tls, "/mode")).filter(|mode| !mode.is_empty()).unwrap_or("DISABLE");
        lines.push(format!("Traffic Policy TLS Mode: {mode}"));
    }
    let blocks = [
        ("loadBalancer", "load balancer"),
        ("connectionPool", "connection pool"),
        ("outlierDetection", "outlier detection"),
    ];
    let named: Vec<&str> =
        blocks.into_iter().filter(|(field, _)| policy.get(field).is_some()).map(|(_, name)| name).collect();
    if !named.is_empty() {
        lines.push(format!("Policies: {}", named.join("/")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subsets_and_policies_are_named() {
        let rule = json!({"metadata": {"name": "ratings"}, "spec": {"host": "ratings",
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]}});
        let pod = json!({"metadata": {"labels": {"app": "ratings", "version": "v1"}}});
        let with = |policy: Value| {
            let mut rule = rule.clone();
            rule["spec"]["trafficPolicy"] = policy;
            lines(&rule, "ratings", &pod).split_off(3)
        };
        assert_eq!(
            lines(&rule, "ratings", &pod),
            [
                "DestinationRule: ratings for \"ratings\"",
                "   Matching subsets: v1",
                "      (Non-matching subsets v2)",
                "   No Traffic Policy",
            ]
        );
        assert_eq!(
            with(json!({"tls": {"mode": "ISTIO_MUTUAL"}})),
            ["   Traffic Policy TLS Mode: ISTIO_MUTUAL"]
        );
        let settings = json!([{"port": {"number": 9080}, "tls": {"mode": "DISABLE"}}]);
        assert_eq!(
            with(json!({"loadBalancer": {}, "connectionPool": {}, "portLevelSettings": settings})),
            [
                "   Policies: load balancer/connection pool",
                "   Port Level Settings:",
                "      9080:",
                "         Traffic Policy TLS Mode: DISABLE",
            ]
        );
    }
}
