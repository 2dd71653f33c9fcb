//! SGN0010: a host that a policy denies by its name alone. The same request with a port in its `Host` header is not denied, while routes
//! take it. Source: bulletin ISTIO-SECURITY-2021-008, which advises to name `host` and `host:*`.

use sagene_api::istio::security::authorization_policy::AuthorizationAction;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.PolicyHostsAnalyzer",
    description: "Hosts of policies that the same host with a port slips past",
    codes: &[Code::PolicyHostWithoutPortVariant],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for policy in input.snapshot.authorization_policies.iter() {
        let field = match policy.spec.action {
            AuthorizationAction::Deny => "hosts",
            AuthorizationAction::Allow => "notHosts",
            AuthorizationAction::Audit | AuthorizationAction::Custom => continue,
        };
        for (rule_index, rule) in policy.spec.rules.iter().enumerate() {
            for (to_index, to) in rule.to.iter().enumerate() {
                let Some(operation) = &to.operation else { continue };
                let hosts = if field == "hosts" { &operation.hosts } else { &operation.not_hosts };
                for (index, host) in hosts.iter().enumerate().filter(|(_, host)| slips_past(host, hosts)) {
                    let text = format!(
                        "A request for {host:?} with a port in its Host header slips past this rule. Name \"{host}:*\" beside it."
                    );
                    let path =
                        at(&format!("spec.rules[{rule_index}].to[{to_index}].operation.{field}[{index}]"));
                    let code = Code::PolicyHostWithoutPortVariant;
                    messages.push(Message::new(code, refer(policy.as_ref()), text).at(path));
                }
            }
        }
    }
    messages
}

/// A host without port that no other entry names with a port.
fn slips_past(host: &str, hosts: &[String]) -> bool {
    let has_end = host.ends_with('*') || host.contains(':');
    let with_port = |other: &String| {
        other
            .strip_prefix(host)
            .or_else(|| {
                host.strip_prefix('*').and_then(|suffix| other.trim_start_matches('*').strip_prefix(suffix))
            })
            .is_some_and(|rest| rest.starts_with([':', '*']))
    };
    !has_end && !hosts.iter().any(with_port)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(action: &str, field: &str, hosts: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec:\n  action: {action}\n  rules:\n  - to: [{{operation: {{{field}: {hosts}}}}}]\n"
        )
    }

    #[test]
    fn a_port_slips_past_a_name() {
        let bad = yaml("DENY", "hosts", "[a.com]");
        assert_eq!(findings(&CHECK, &bad), ["SGN0010 AuthorizationPolicy default/a@7"]);
        assert!(texts(&CHECK, &bad)[0].ends_with("Name \"a.com:*\" beside it."));
        assert_eq!(findings(&CHECK, &yaml("ALLOW", "notHosts", "['*.a.com']")).len(), 1);
        for (action, field, hosts) in [
            ("DENY", "hosts", "[a.com, 'a.com:*']"),
            ("DENY", "hosts", "['a.com*']"),
            ("DENY", "notHosts", "[a.com]"),
            ("ALLOW", "hosts", "[a.com]"),
        ] {
            assert!(findings(&CHECK, &yaml(action, field, hosts)).is_empty(), "{action} {hosts}");
        }
    }
}
