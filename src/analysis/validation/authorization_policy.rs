//! Rules of AuthorizationPolicy.

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::security::authorization_policy::{
    AuthorizationAction, Condition, Operation, Rule, Source,
};

use super::common::{attachment, is_subnet};
use super::host::is_label;
use super::nearest::hint;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

/// Keys of `when`; those that end in `[` take a name in brackets.
const KEYS: &[&str] = &[
    "request.headers[",
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "source.trustDomain",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "request.auth.claims[",
    "destination.ip",
    "destination.port",
    "connection.sni",
    "experimental.envoy.filters.",
];

impl Validate for AuthorizationPolicy {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        attachment(&mut report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
        let custom = spec.action == AuthorizationAction::Custom;
        let action = path.key("action");
        if custom {
            let named = spec.provider.as_ref().is_some_and(|provider| !provider.name.is_empty());
            report.require(
                named,
                &path.key("provider").key("name"),
                "`provider.name` must not be empty with action CUSTOM",
            );
            report.require(
                !spec.rules.is_empty(),
                &action,
                "CUSTOM action without `rules` is meaningless as it will never be triggered, use `rules: [{}]` if you want it be triggered always",
            );
        } else {
            report.require(
                spec.provider.is_none(),
                &path.key("provider"),
                "`provider` must not be set with any action other than CUSTOM",
            );
        }
        if spec.action == AuthorizationAction::Deny {
            report.require(
                !spec.rules.is_empty(),
                &action,
                "DENY action without `rules` is meaningless as it will never be triggered, use `rules: [{}]` if you want it be triggered always",
            );
        }
        for (index, of) in spec.rules.iter().enumerate() {
            let path = path.key("rules").index(index);
            rule(&mut report, &path, of, custom);
            if spec.action == AuthorizationAction::Deny && denies_all_tcp(of) {
                report.warning(&path, OF_HTTP_ALONE);
            }
        }
        report.finish()
    }
}

/// On a port that speaks no HTTP, what is said of HTTP is left out of a rule that denies: what remains must not be nothing.
const OF_HTTP_ALONE: &str = "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP attributes \
    in a DENY rule; it is recommended to explicitly specify the port";

/// True where a rule names nothing that connections without HTTP have: neither a port, nor, of clients, more than their tokens.
fn denies_all_tcp(rule: &Rule) -> bool {
    let mut operations = rule.to.iter().filter_map(|to| to.operation.as_ref()).peekable();
    if operations.peek().is_some() {
        return !operations.any(|operation| !operation.ports.is_empty() || !operation.not_ports.is_empty());
    }
    let mut sources = rule.from.iter().filter_map(|from| from.source.as_ref()).peekable();
    let of_tokens = |source: &Source| Source {
        request_principals: source.request_principals.clone(),
        not_request_principals: source.not_request_principals.clone(),
        ..Source::default()
    };
    sources.peek().is_some() && !sources.any(|source| *source != of_tokens(source))
}

fn rule(report: &mut Report, path: &FieldPath, rule: &Rule, custom: bool) {
    for (index, from) in rule.from.iter().enumerate() {
        let path = path.key("from").index(index);
        match &from.source {
            Some(of) => source(report, &path.key("source"), of, custom),
            None => report.error(&path, "`from.source` must be set"),
        }
    }
    for (index, to) in rule.to.iter().enumerate() {
        let path = path.key("to").index(index);
        match &to.operation {
            Some(of) => operation(report, &path.key("operation"), of),
            None => report.error(&path, "`to.operation` must be set"),
        }
    }
    for (index, of) in rule.when.iter().enumerate() {
        condition(report, &path.key("when").index(index), of, custom);
    }
}

fn source(report: &mut Report, path: &FieldPath, source: &Source, custom: bool) {
    report.require(*source != Source::default(), path, "`from.source` must have at least one field");
    let identities = [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
    ];
    for (field, values) in identities {
        filled(report, &path.key(field), values);
        report.require(
            !custom || values.is_empty(),
            &path.key(field),
            format_args!("{field} is currently not supported with CUSTOM action: who the client is, is not known yet then"),
        );
    }
    let accounts = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    let others = [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces]
        .into_iter()
        .any(|values| !values.is_empty());
    report.require(!accounts || !others, path, "cannot set serviceAccounts with namespaces or principals");
    for (field, values) in
        [("serviceAccounts", &source.service_accounts), ("notServiceAccounts", &source.not_service_accounts)]
    {
        for (index, value) in values.iter().enumerate() {
            // One that is empty is told of as such.
            report.require(
                value.is_empty() || is_account(value),
                &path.key(field).index(index),
                format_args!(
                    "{value:?} is no service account; want NAME or NAMESPACE/NAME, without wildcards"
                ),
            );
        }
    }
    let blocks = [
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
    ];
    for (field, values) in blocks {
        for (index, value) in values.iter().enumerate() {
            report.require(
                is_subnet(value),
                &path.key(field).index(index),
                format_args!("{value:?} is no IP address and no CIDR range"),
            );
        }
    }
}

/// `[namespace/]name`.
fn is_account(text: &str) -> bool {
    let (namespace, name) =
        text.split_once('/').map_or((None, text), |(namespace, name)| (Some(namespace), name));
    namespace.is_none_or(is_label) && !name.is_empty() && name.split('.').all(is_label)
}

fn operation(report: &mut Report, path: &FieldPath, operation: &Operation) {
    report.require(*operation != Operation::default(), path, "`to.operation` must have at least one field");
    let texts = [
        ("hosts", &operation.hosts),
        ("notHosts", &operation.not_hosts),
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
        ("paths", &operation.paths),
        ("notPaths", &operation.not_paths),
    ];
    for (field, values) in texts {
        filled(report, &path.key(field), values);
    }
    for (field, values) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
        for (index, value) in values.iter().enumerate() {
            let good = value.parse::<u16>().is_ok_and(|number| number != 0);
            report.require(
                good,
                &path.key(field).index(index),
                format_args!("invalid port {value:?}; want a number from 1 to 65535"),
            );
        }
    }
    for (field, values) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
        for (index, value) in
            values.iter().enumerate().filter(|(_, value)| value.contains('{') || value.contains('}'))
        {
            report.require(
                is_template(value),
                &path.key(field).index(index),
                "{*} and {**} must be whole path segments, and {**} the last operator",
            );
        }
    }
}

/// `{*}` stands for one segment, `{**}` for any number; `*` may not stand beside them.
fn is_template(path: &str) -> bool {
    let mut any_seen = false;
    path.split('/').all(|segment| match segment {
        "{*}" => !any_seen,
        "{**}" => !std::mem::replace(&mut any_seen, true),
        other => !other.contains(['{', '}', '*']),
    })
}

fn filled(report: &mut Report, path: &FieldPath, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        report.require(!value.is_empty(), &path.index(index), "value must not be empty");
    }
}

fn condition(report: &mut Report, path: &FieldPath, condition: &Condition, custom: bool) {
    let key = condition.key.as_str();
    if let Some(problem) = key_problem(key) {
        report.error(&path.key("key"), problem);
    }
    report.require(
        !condition.values.is_empty() || !condition.not_values.is_empty(),
        path,
        "at least one of `values` or `notValues` must be set",
    );
    let of_identity = key.starts_with("request.auth.")
        || ["source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain"]
            .contains(&key);
    report.require(
        !custom || !of_identity,
        &path.key("key"),
        format_args!(
            "{key} is currently not supported with CUSTOM action: who the client is, is not known yet then"
        ),
    );
    for (field, values) in [("values", &condition.values), ("notValues", &condition.not_values)] {
        filled(report, &path.key(field), values);
        condition_values(report, &path.key(field), key, values);
    }
}

/// What is wrong with a key; those of Istio's first policies say what took their place.
fn key_problem(key: &str) -> Option<String> {
    let known = KEYS.iter().any(|known| match known.strip_suffix('[') {
        Some(_) => key.starts_with(known) && key.ends_with(']') && key.len() > known.len() + 1,
        None if known.ends_with('.') => key.starts_with(known) && is_bracketed(key),
        None => key == *known,
    });
    if known {
        return None;
    }
    let takes_name =
        KEYS.iter().find(|known| known.ends_with(['[', '.']) && key.starts_with(&known[..known.len() - 1]));
    Some(match key {
        "" => "`key` must not be empty".to_owned(),
        "destination.namespace" => {
            "attribute destination.namespace is replaced by metadata.namespace of the policy".to_owned()
        }
        "destination.name" | "destination.user" => format!("attribute {key} is not supported; use selector"),
        _ if key.starts_with("destination.labels") => {
            format!("attribute {key} is replaced by selector.matchLabels of the policy")
        }
        _ if takes_name.is_some() => format!("bad key {key:?}: it should have format a[b]"),
        _ => format!("unknown key {key:?} in `when`{}", hint(key, KEYS.iter().copied())),
    })
}

/// `a[b]`.
fn is_bracketed(key: &str) -> bool {
    key.strip_suffix(']')
        .and_then(|rest| rest.split_once('['))
        .is_some_and(|(name, inner)| !name.is_empty() && !inner.is_empty())
}

/// Addresses and ports must be some; other keys take any text.
fn condition_values(report: &mut Report, path: &FieldPath, key: &str, values: &[String]) {
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        match key {
            "source.ip" | "remote.ip" | "destination.ip" => report.require(
                is_subnet(value),
                &path.index(index),
                format_args!("{value:?} is no IP address and no CIDR range"),
            ),
            "destination.port" => report.require(
                value.parse::<u16>().is_ok_and(|number| number != 0),
                &path.index(index),
                format_args!("invalid port {value:?}; want a number from 1 to 65535"),
            ),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: AuthorizationPolicy = serde_yaml::from_str(spec).expect("a spec");
        AuthorizationPolicy::problems(&Object::new("n", "p", spec))
            .iter()
            .map(|problem| problem.path.to_string())
            .collect()
    }

    #[test]
    fn old_keys_say_what_took_their_place() {
        for (key, part) in [
            ("destination.namespace", "metadata.namespace"),
            ("destination.labels[a]", "selector.matchLabels"),
            ("destination.user", "not supported"),
            ("request.headers", "a[b]"),
            ("source.ips", "did you mean \"source.ip\"?"),
        ] {
            assert!(
                key_problem(key).is_some_and(|text| text.contains(part)),
                "{key} → {:?}",
                key_problem(key)
            );
        }
        assert_eq!(key_problem("connection.sni"), None);
    }

    #[test]
    fn rules_that_deny_by_http_alone() {
        for (rule, is_told) in [
            ("{to: [{operation: {methods: [GET]}}]}", true),
            ("{from: [{source: {principals: [a]}}], to: [{operation: {paths: [/a]}}]}", true),
            ("{from: [{source: {requestPrincipals: ['*']}}]}", true),
            ("{to: [{operation: {methods: [GET], ports: ['80']}}]}", false),
            ("{from: [{source: {namespaces: [a]}}]}", false),
            ("{when: [{key: 'request.headers[a]', values: [b]}]}", false),
            ("{}", false),
        ] {
            let found = problems(&format!("{{action: DENY, rules: [{rule}]}}"));
            assert_eq!(found.contains(&"spec.rules[0]".to_owned()), is_told, "{rule}");
            assert!(problems(&format!("{{rules: [{rule}]}}")).is_empty(), "{rule}");
        }
    }

    #[test]
    fn every_rule_names_its_field() {
        for (bad, path) in [
            ("{action: DENY}", "spec.action"),
            ("{action: CUSTOM, provider: {name: x}}", "spec.action"),
            ("{action: CUSTOM, rules: [{}]}", "spec.provider.name"),
            ("{provider: {name: x}}", "spec.provider"),
            ("{rules: [{from: [{}]}]}", "spec.rules[0].from[0]"),
            (
                "{rules: [{from: [{source: {ipBlocks: [1.2.3]}}]}]}",
                "spec.rules[0].from[0].source.ipBlocks[0]",
            ),
            ("{rules: [{to: [{operation: {ports: ['80-90']}}]}]}", "spec.rules[0].to[0].operation.ports[0]"),
            ("{rules: [{to: [{operation: {paths: ['/a{*}']}}]}]}", "spec.rules[0].to[0].operation.paths[0]"),
            ("{rules: [{when: [{key: request.header, values: [a]}]}]}", "spec.rules[0].when[0].key"),
            ("{rules: [{when: [{key: 'request.headers[x]'}]}]}", "spec.rules[0].when[0]"),
            ("{rules: [{when: [{key: '', values: [a]}]}]}", "spec.rules[0].when[0].key"),
            ("{rules: [{when: [{key: 'request.headers[]', values: [a]}]}]}", "spec.rules[0].when[0].key"),
            ("{rules: [{when: [{key: destination.labels, values: [a]}]}]}", "spec.rules[0].when[0].key"),
            (
                "{rules: [{when: [{key: experimental.envoy.filters.network.mysql_proxy, values: [a]}]}]}",
                "spec.rules[0].when[0].key",
            ),
            (
                "{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}",
                "spec.rules[0].when[0].key",
            ),
            ("{rules: [{when: [{key: source.ip, values: [a]}]}]}", "spec.rules[0].when[0].values[0]"),
            (
                "{rules: [{when: [{key: destination.port, notValues: ['0']}]}]}",
                "spec.rules[0].when[0].notValues[0]",
            ),
            (
                "{rules: [{from: [{source: {serviceAccounts: ['a/b/c']}}]}]}",
                "spec.rules[0].from[0].source.serviceAccounts[0]",
            ),
            (
                "{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}",
                "spec.rules[0].from[0].source",
            ),
            ("{selector: {matchLabels: {a: 'b*'}}}", "spec.selector.matchLabels.a"),
            ("{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}", "spec"),
            ("{targetRefs: [{kind: Pod, name: a}]}", "spec.targetRefs[0].kind"),
            ("{targetRefs: [{kind: Service, name: a, namespace: b}]}", "spec.targetRefs[0].namespace"),
            (
                "{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {principals: [a]}}]}]}",
                "spec.rules[0].from[0].source.principals",
            ),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
        for good in [
            "{}",
            "{action: DENY, rules: [{}]}",
            "{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}], when: [{key: 'request.headers[a]', values: [b]}]}]}",
            "{rules: [{when: [{key: 'experimental.envoy.filters.network.mysql_proxy[db.table]', values: ['[insert]']}]}]}",
            "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: a}]}",
            "{rules: [{from: [{source: {serviceAccounts: [a, n/b]}}], when: [{key: remote.ip, values: [10.0.0.0/8, '::1']}]}]}",
            "{rules: [{to: [{operation: {paths: ['/a/{*}/b/{**}', '/x*']}}], when: [{key: 'request.auth.claims[iss]', values: ['*']}]}]}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
