//! SGN0014: rules that a client escapes by sending plaintext: who a peer is, only mutual TLS says, and where plaintext is taken, too, a
//! DENY rule on identities does not match it and an ALLOW rule without certain identities does. Source: bulletin ISTIO-SECURITY-2021-004.

use sagene_api::istio::security::PeerAuthentication;
use sagene_api::istio::security::authorization_policy::{AuthorizationAction, Source};
use sagene_model::peer_authentication::{Mode, effective};

use super::support::policy::{is_attached, labels};
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.PolicyPlaintextAnalyzer",
    description: "Rules on peers' identities that plaintext escapes",
    codes: &[Code::PlaintextSlipsPastPolicy],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    // Files that say nothing of mutual TLS leave open what the mesh says.
    if !input.knows::<PeerAuthentication>() {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for policy in input.snapshot.authorization_policies.iter().filter(|policy| !is_attached(&policy.spec)) {
        let find = match policy.spec.action {
            AuthorizationAction::Deny => wanted,
            AuthorizationAction::Allow => unwanted,
            AuthorizationAction::Audit | AuthorizationAction::Custom => continue,
        };
        let sources = policy.spec.rules.iter().enumerate().flat_map(|(index, rule)| {
            let sources = rule.from.iter().enumerate();
            sources.filter_map(move |(at, from)| Some((index, at, find(from.source.as_ref()?)?)))
        });
        let Some((rule, from, field)) = sources.into_iter().next() else { continue };
        let labels = labels(policy.spec.selector.as_ref());
        let mode = effective(&input.snapshot, &input.mesh, &policy.metadata.namespace, &labels).workload;
        if mode == Mode::Strict {
            continue;
        }
        let text = format!(
            "{field} is about peers that prove who they are, but the workload takes plaintext, too ({}): a client without mutual TLS escapes \
             this rule. Make the workload STRICT by a PeerAuthentication.",
            if mode == Mode::Disable { "DISABLE" } else { "PERMISSIVE" }
        );
        let path = at(&format!("spec.rules[{rule}].from[{from}].source.{field}"));
        messages.push(Message::new(Code::PlaintextSlipsPastPolicy, refer(policy.as_ref()), text).at(path));
    }
    messages
}

fn wanted(source: &Source) -> Option<&'static str> {
    let fields = [
        ("principals", &source.principals),
        ("namespaces", &source.namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("trustDomains", &source.trust_domains),
    ];
    fields.into_iter().find(|(_, values)| !values.is_empty()).map(|(field, _)| field)
}

fn unwanted(source: &Source) -> Option<&'static str> {
    // Who has to have an identity does not come without.
    if wanted(source).is_some() {
        return None;
    }
    let fields = [
        ("notPrincipals", &source.not_principals),
        ("notNamespaces", &source.not_namespaces),
        ("notServiceAccounts", &source.not_service_accounts),
        ("notTrustDomains", &source.not_trust_domains),
    ];
    // `notPrincipals: ["*"]` is how plaintext is meant.
    let is_meant = |values: &[String]| values.is_empty() || values.iter().any(|value| value == "*");
    fields.into_iter().find(|(_, values)| !is_meant(values)).map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn yaml(mode: &str, action: &str, source: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: istio-system}}\nspec: {{mtls: {{mode: {mode}}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec:\n  action: {action}\n  rules: [{{from: [{{source: {source}}}]}}]\n"
        )
    }

    #[test]
    fn plaintext_has_no_identity() {
        assert_eq!(
            findings(&CHECK, &yaml("PERMISSIVE", "DENY", "{namespaces: [a]}")),
            ["SGN0014 AuthorizationPolicy default/a@11"]
        );
        assert_eq!(findings(&CHECK, &yaml("PERMISSIVE", "ALLOW", "{notNamespaces: [a]}")).len(), 1);
        for (mode, action, source) in [
            ("STRICT", "DENY", "{namespaces: [a]}"),
            ("PERMISSIVE", "ALLOW", "{namespaces: [a]}"),
            ("PERMISSIVE", "DENY", "{notPrincipals: ['*']}"),
            ("PERMISSIVE", "ALLOW", "{namespaces: [b], notPrincipals: [x]}"),
            ("PERMISSIVE", "DENY", "{ipBlocks: [10.0.0.0/8]}"),
        ] {
            assert!(findings(&CHECK, &yaml(mode, action, source)).is_empty(), "{mode} {action} {source}");
        }
    }
}
