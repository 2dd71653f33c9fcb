//! SGN0009 and SGN0013: rules of AuthorizationPolicies about requests, for ports that carry bytes; and ports of a Service in a policy, where
//! those of the workload count.
//!
//! A rule with HTTP fields never allows a connection of a TCP port; in a DENY policy its HTTP fields are left out, and the rest denies
//! more than is written. Source: Istio's reference of AuthorizationPolicy, and bulletin ISTIO-SECURITY-2021-002.

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::security::authorization_policy::Rule;
use sagene_model::Protocol;

use super::support::pods::Pods;
use super::support::policy::{WorkloadPort, is_attached, labels, ports, protocols};
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.PolicyPortsAnalyzer",
    description: "Rules about requests for ports that carry bytes, and ports of a Service where the workload's count",
    codes: &[Code::HttpPolicyOnTcpPort, Code::PolicyPortOfService],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let pods = Pods::of(input);
    let mut messages = Vec::new();
    for policy in input.snapshot.authorization_policies.iter().filter(|policy| !is_attached(&policy.spec)) {
        let labels = labels(policy.spec.selector.as_ref());
        let ports = ports(input, &pods, &policy.metadata.namespace, &labels);
        if ports.is_empty() {
            continue;
        }
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            messages.extend(service_ports(policy, index, rule, &ports));
            messages.extend(http_on_tcp(policy, index, rule, &ports));
        }
    }
    messages
}

/// Ports of the Service that no workload has.
fn service_ports(
    policy: &Object<AuthorizationPolicy>,
    index: usize,
    rule: &Rule,
    ports: &[WorkloadPort],
) -> Vec<Message> {
    let mut messages = Vec::new();
    for (position, operation) in
        rule.to.iter().enumerate().filter_map(|(at, to)| Some((at, to.operation.as_ref()?)))
    {
        for (field, written) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
            for (place, text) in written.iter().enumerate() {
                let Ok(number) = text.parse::<u16>() else { continue };
                let real = ports.iter().find(|port| port.service == number && port.workload != number);
                let Some(real) = real.filter(|_| !ports.iter().any(|port| port.workload == number)) else {
                    continue;
                };
                let text = format!(
                    "Port {number} is the Service's; policies are about ports of the workload. Write {} instead.",
                    real.workload
                );
                let path = at(&format!("spec.rules[{index}].to[{position}].operation.{field}[{place}]"));
                messages.push(Message::new(Code::PolicyPortOfService, refer(policy), text).at(path));
            }
        }
    }
    messages
}

fn http_on_tcp(
    policy: &Object<AuthorizationPolicy>,
    index: usize,
    rule: &Rule,
    ports: &[WorkloadPort],
) -> Option<Message> {
    let (path, field) = http_field(rule)?;
    let known = protocols(ports);
    let is_tcp = |protocol: &Protocol| {
        matches!(
            protocol,
            Protocol::Tcp
                | Protocol::Tls
                | Protocol::Https
                | Protocol::Mongo
                | Protocol::Redis
                | Protocol::MySql
        )
    };
    let named: Vec<u16> = rule
        .to
        .iter()
        .filter_map(|to| to.operation.as_ref())
        .flat_map(|operation| operation.ports.iter().filter_map(|port| port.parse().ok()))
        .collect();
    let tcp = if named.is_empty() {
        // Without ports the rule is about all of them: it is wrong only where none of them carries requests.
        known.values().all(is_tcp).then(|| known.keys().next().copied())??
    } else {
        named.into_iter().find(|port| known.get(port).is_some_and(is_tcp))?
    };
    let text = format!(
        "{field} is about requests, but port {tcp} carries {}: there, an ALLOW rule never matches, and a DENY rule denies without looking at it.",
        known.get(&tcp).map_or_else(|| "TCP".to_owned(), |protocol| format!("{protocol:?}").to_uppercase())
    );
    Some(
        Message::new(Code::HttpPolicyOnTcpPort, refer(policy), text)
            .at(at(&format!("spec.rules[{index}].{path}"))),
    )
}

/// The first field of a rule that only requests have: where it stands, and its name.
fn http_field(rule: &Rule) -> Option<(String, String)> {
    for (position, to) in rule.to.iter().enumerate() {
        let Some(operation) = &to.operation else { continue };
        let fields = [
            ("hosts", &operation.hosts),
            ("notHosts", &operation.not_hosts),
            ("methods", &operation.methods),
            ("notMethods", &operation.not_methods),
            ("paths", &operation.paths),
            ("notPaths", &operation.not_paths),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, values)| !values.is_empty()) {
            return Some((format!("to[{position}].operation.{field}"), field.to_owned()));
        }
    }
    for (position, from) in rule.from.iter().enumerate() {
        let Some(source) = &from.source else { continue };
        let fields = [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, values)| !values.is_empty()) {
            return Some((format!("from[{position}].source.{field}"), field.to_owned()));
        }
    }
    let position = rule.when.iter().position(|condition| condition.key.starts_with("request."))?;
    Some((format!("when[{position}].key"), rule.when[position].key.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(rule: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{selector: {{app: db}}, ports: [{{name: tcp, port: 90, targetPort: 9000}}, {{name: http, port: 80, targetPort: 8080}}]}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec:\n  selector: {{matchLabels: {{app: db}}}}\n  rules:\n  - {rule}\n"
        )
    }

    #[test]
    fn rules_on_requests_for_bytes() {
        let bad = "to: [{operation: {ports: ['9000'], methods: [GET]}}]";
        assert_eq!(findings(&CHECK, &yaml(bad)), ["SGN0009 AuthorizationPolicy default/a@12"]);
        assert!(
            texts(&CHECK, &yaml(bad))[0].starts_with("methods is about requests, but port 9000 carries TCP:")
        );
        for good in [
            "to: [{operation: {ports: ['8080'], methods: [GET]}}]",
            "to: [{operation: {ports: ['9000']}}]",
            "to: [{operation: {methods: [GET]}}]",
            "from: [{source: {namespaces: [x]}}]",
        ] {
            assert!(findings(&CHECK, &yaml(good)).is_empty(), "{good}");
        }
    }

    #[test]
    fn ports_are_those_of_the_workload() {
        let bad = "to: [{operation: {ports: ['80']}}]";
        assert_eq!(findings(&CHECK, &yaml(bad)), ["SGN0013 AuthorizationPolicy default/a@12"]);
        assert_eq!(
            texts(&CHECK, &yaml(bad)),
            ["Port 80 is the Service's; policies are about ports of the workload. Write 8080 instead."]
        );
        assert!(findings(&CHECK, &yaml("to: [{operation: {ports: ['7070']}}]")).is_empty());
    }
}
