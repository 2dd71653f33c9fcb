//! SGN0008: rules of AuthorizationPolicies that no request can meet: all values of a field are excluded by its `not` twin, or are such that
//! no request has them.

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::security::authorization_policy::{Operation, Rule, Source};

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.PolicyMatchesNoRequestAnalyzer",
    description: "Rules of AuthorizationPolicies that no request can meet",
    codes: &[Code::PolicyMatchesNoRequest],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for policy in input.snapshot.authorization_policies.iter() {
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            messages.extend(of_rule(policy, index, rule));
        }
    }
    messages
}

fn of_rule(policy: &Object<AuthorizationPolicy>, index: usize, rule: &Rule) -> Vec<Message> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (position, from) in rule.from.iter().enumerate() {
        let path = format!("spec.rules[{index}].from[{position}].source");
        found
            .extend(from.source.iter().flat_map(source).map(|(field, why)| (format!("{path}.{field}"), why)));
    }
    for (position, to) in rule.to.iter().enumerate() {
        let path = format!("spec.rules[{index}].to[{position}].operation");
        found.extend(
            to.operation.iter().flat_map(operation).map(|(field, why)| (format!("{path}.{field}"), why)),
        );
    }
    for (position, condition) in rule.when.iter().enumerate() {
        if let Some(why) = excluded(&condition.values, &condition.not_values, "notValues") {
            found.push((format!("spec.rules[{index}].when[{position}].values"), why));
        }
    }
    let message = |(path, why): (String, String)| {
        let text = format!("This part of the rule matches no request: {why}.");
        Message::new(Code::PolicyMatchesNoRequest, refer(policy), text).at(at(&path))
    };
    found.into_iter().map(message).collect()
}

fn source(source: &Source) -> Vec<(&'static str, String)> {
    let pairs = [
        ("principals", &source.principals, "notPrincipals", &source.not_principals),
        (
            "requestPrincipals",
            &source.request_principals,
            "notRequestPrincipals",
            &source.not_request_principals,
        ),
        ("namespaces", &source.namespaces, "notNamespaces", &source.not_namespaces),
        ("ipBlocks", &source.ip_blocks, "notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks, "notRemoteIpBlocks", &source.not_remote_ip_blocks),
        ("serviceAccounts", &source.service_accounts, "notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains, "notTrustDomains", &source.not_trust_domains),
    ];
    let mut found = pairs_that_exclude(&pairs);
    let elsewhere = |principal: &String| {
        let namespace = principal.split_once("/ns/").and_then(|(_, rest)| rest.split('/').next());
        namespace.is_some_and(|namespace| {
            !namespace.contains('*') && !source.namespaces.iter().any(|wanted| covers(wanted, namespace))
        })
    };
    if !source.namespaces.is_empty()
        && !source.principals.is_empty()
        && source.principals.iter().all(elsewhere)
    {
        found.push(("principals", "none of the principals is in one of the namespaces".to_owned()));
    }
    found
}

fn operation(operation: &Operation) -> Vec<(&'static str, String)> {
    let pairs = [
        ("hosts", &operation.hosts, "notHosts", &operation.not_hosts),
        ("ports", &operation.ports, "notPorts", &operation.not_ports),
        ("methods", &operation.methods, "notMethods", &operation.not_methods),
        ("paths", &operation.paths, "notPaths", &operation.not_paths),
    ];
    let mut found = pairs_that_exclude(&pairs);
    let is_small = |method: &String| {
        let upper = method.to_ascii_uppercase();
        matches!(upper.as_str(), "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "PATCH" | "OPTIONS")
            && *method != upper
    };
    if !operation.methods.is_empty() && operation.methods.iter().all(is_small) {
        found.push(("methods", "methods are compared with case and written in capital letters".to_owned()));
    }
    // Calls of gRPC have paths like all others; only a wildcard at the front may leave the slash out.
    let is_relative = |path: &String| !path.is_empty() && !path.starts_with(['/', '*', '{']);
    if !operation.paths.is_empty() && operation.paths.iter().all(is_relative) {
        found.push(("paths", "paths begin with a slash".to_owned()));
    }
    found
}

type Pair<'s> = (&'static str, &'s Vec<String>, &'static str, &'s Vec<String>);

fn pairs_that_exclude(pairs: &[Pair<'_>]) -> Vec<(&'static str, String)> {
    let excluding =
        |(field, wanted, twin, refused): &Pair<'_>| Some((*field, excluded(wanted, refused, twin)?));
    pairs.iter().filter_map(excluding).collect()
}

/// Why nothing is left of the wanted values.
fn excluded(wanted: &[String], refused: &[String], twin: &str) -> Option<String> {
    let all =
        !wanted.is_empty() && wanted.iter().all(|value| refused.iter().any(|refused| covers(refused, value)));
    all.then(|| format!("{twin} excludes all of its values"))
}

/// True where a pattern (`*`, `a*`, `*a`, `a`) matches everything that another one matches.
fn covers(pattern: &str, value: &str) -> bool {
    if pattern == "*" || pattern == value {
        return true;
    }
    if let Some(suffix) = pattern.strip_prefix('*') {
        return !value.ends_with('*') && value.trim_start_matches('*').ends_with(suffix);
    }
    pattern
        .strip_suffix('*')
        .is_some_and(|prefix| !value.starts_with('*') && value.trim_end_matches('*').starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(rule: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec:\n  rules:\n  - {rule}\n"
        )
    }

    #[test]
    fn rules_that_contradict_themselves() {
        for bad in [
            "to: [{operation: {methods: [GET], notMethods: [GET, POST]}}]",
            "to: [{operation: {paths: [/admin/x], notPaths: [/admin*]}}]",
            "to: [{operation: {methods: [get]}}]",
            "to: [{operation: {paths: [admin]}}]",
            "from: [{source: {namespaces: [a], notNamespaces: ['*']}}]",
            "from: [{source: {namespaces: [a], principals: [cluster.local/ns/b/sa/x]}}]",
            "when: [{key: 'request.headers[x]', values: [a], notValues: [a]}]",
        ] {
            assert_eq!(findings(&CHECK, &yaml(bad)), ["SGN0008 AuthorizationPolicy default/a@6"], "{bad}");
        }
        assert_eq!(
            texts(&CHECK, &yaml("to: [{operation: {methods: [GET], notMethods: [GET]}}]")),
            ["This part of the rule matches no request: notMethods excludes all of its values."]
        );
    }

    #[test]
    fn rules_that_leave_something() {
        for good in [
            "to: [{operation: {methods: [GET, POST], notMethods: [GET]}}]",
            "to: [{operation: {paths: [/admin*], notPaths: [/admin/x]}}]",
            "to: [{operation: {paths: ['*/admin', admin]}}]",
            "from: [{source: {namespaces: [a, b], principals: [cluster.local/ns/b/sa/x]}}]",
            "from: [{source: {namespaces: ['b*'], principals: [cluster.local/ns/b/sa/x]}}]",
            "{}",
        ] {
            assert!(findings(&CHECK, &yaml(good)).is_empty(), "{good}");
        }
    }
}
