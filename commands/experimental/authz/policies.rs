//! AuthorizationPolicies as a proxy has them: the RBAC filters of its listeners, read back by the names of their rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::proxy_config::dump::{Dump, field, list, path, text, type_of};
use crate::proxy_config::listener;

/// Istio's word for a filter that has no rule: it allows, or denies, nothing.
const NOTHING: &str = "_anonymous_match_nothing_";

/// What a policy does with what it matches, in the order in which proxies ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Deny,
    Allow,
    Log,
    Custom,
}

/// One policy in force.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::experimental) struct Policy {
    action: Action,
    dry_run: bool,
    /// `name.namespace`.
    pub(in crate::experimental) name: String,
    /// How many of its rules there are.
    pub(in crate::experimental) rules: usize,
}

impl Policy {
    /// The action as tables show it.
    pub(in crate::experimental) fn action(&self) -> String {
        let name = match self.action {
            Action::Deny => "DENY",
            Action::Allow => "ALLOW",
            Action::Log => "LOG",
            Action::Custom => "CUSTOM",
        };
        if self.dry_run { format!("{name} (dry run)") } else { name.to_owned() }
    }
}

/// The policies of all listeners, each once, by action and name.
pub(in crate::experimental) fn of(dump: &Dump) -> Vec<Policy> {
    let mut found: BTreeMap<(Action, bool, String), BTreeSet<String>> = BTreeMap::new();
    for listener in listener::select(dump, &listener::ListenerFilter::default(), None) {
        for filter in filters(&listener).filter(|filter| text(filter, &["name"]).ends_with(".rbac")) {
            let Some(config) = field(filter, "typedConfig") else { continue };
            if let Some(rules) = field(config, "rules") {
                collect(rules, false, &mut found);
            }
            if let Some(rules) = field(config, "shadowRules") {
                collect(rules, true, &mut found);
            }
        }
    }
    let policy = |((action, dry_run, name), rules): ((Action, bool, String), BTreeSet<String>)| Policy {
        action,
        dry_run,
        name,
        rules: rules.len(),
    };
    found.into_iter().map(policy).collect()
}

/// The filters of a listener and, where one reads HTTP, the filters inside.
fn filters(listener: &Value) -> impl Iterator<Item = &Value> {
    let chains = list(listener, "filterChains").chain(field(listener, "defaultFilterChain"));
    chains.flat_map(|chain| list(chain, "filters")).flat_map(|filter| {
        let config = field(filter, "typedConfig").unwrap_or(&Value::Null);
        let inner = type_of(config).ends_with(".HttpConnectionManager");
        std::iter::once(filter).chain(inner.then(|| list(config, "httpFilters")).into_iter().flatten())
    })
}

fn collect(rules: &Value, shadow: bool, found: &mut BTreeMap<(Action, bool, String), BTreeSet<String>>) {
    let action = match field(rules, "action") {
        Some(action) if action == "DENY" || action == 1 => Action::Deny,
        Some(action) if action == "LOG" || action == 2 => Action::Log,
        _ => Action::Allow,
    };
    let policies = path(rules, &["policies"]).and_then(Value::as_object);
    if policies.is_none_or(serde_json::Map::is_empty) {
        found.entry((action, shadow, NOTHING.to_owned())).or_default().insert("0".to_owned());
    }
    for key in policies.into_iter().flatten().map(|(key, _)| key) {
        let custom = key.starts_with("istio-ext-authz");
        let (name, rule) = parse(key).unwrap_or_else(|| (key.clone(), "0".to_owned()));
        // Whom a provider is asked about is found by shadow rules; that is no dry run.
        let action = if custom { Action::Custom } else { action };
        found.entry((action, shadow && !custom, name)).or_default().insert(rule);
    }
}

/// `…ns[a]-policy[b]-rule[0]` as `b.a` and the rule's place.
fn parse(key: &str) -> Option<(String, String)> {
    let (_, rest) = key.split_once("ns[")?;
    let (namespace, rest) = rest.split_once("]-policy[")?;
    let (name, rest) = rest.split_once("]-rule[")?;
    Some((format!("{name}.{namespace}"), rest.strip_suffix(']')?.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_are_read_back_from_filters() {
        let rbac = |config: Value| json!({"name": "envoy.filters.http.rbac", "typed_config": config});
        let one = |action: &str, keys: &[&str]| {
            let policies: serde_json::Map<String, Value> =
                keys.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
            json!({"action": action, "policies": policies})
        };
        let manager = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "http_filters": [
            rbac(json!({"shadow_rules": one("DENY", &["istio-ext-authz-mine-ns[foo]-policy[ask]-rule[0]"])})),
            rbac(json!({"rules": one("DENY", &["ns[foo]-policy[no]-rule[0]", "ns[foo]-policy[no]-rule[1]"])})),
            rbac(json!({"rules": {}, "shadow_rules": one("ALLOW", &["ns[foo]-policy[try]-rule[0]"])})),
        ]}});
        let chain = json!({"filters": [manager]});
        let listener = json!({"filter_chains": [chain, chain]});
        let dump = Dump::new(json!({"configs": [{
            "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
            "dynamic_listeners": [{"active_state": {"listener": listener}}]}]}));
        let shown: Vec<(String, String, usize)> =
            of(&dump).into_iter().map(|policy| (policy.action(), policy.name, policy.rules)).collect();
        let row = |action: &str, name: &str, rules| (action.to_owned(), name.to_owned(), rules);
        assert_eq!(
            shown,
            [
                row("DENY", "no.foo", 2),
                row("ALLOW", NOTHING, 1),
                row("ALLOW (dry run)", "try.foo", 1),
                row("CUSTOM", "ask.foo", 1),
            ]
        );
    }
}
