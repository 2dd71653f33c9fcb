//! IST0127 and IST0101 for AuthorizationPolicies: selectors without a workload of the mesh, clients of namespaces that do not exist, and
//! providers that the mesh does not have.
//!
//! In the root namespace a policy is about the whole mesh. One without selector in a namespace without any workload is told, too: it
//! protects nothing yet.

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::kubernetes::{Namespace, Pod};
use sagene_model::labels::Labels;
use sagene_model::workload;

use super::support::mesh::Namespaces;
use super::support::pods::Pods;
use super::support::words::{first_label, not_found, refer, selector};
use super::support::workloads::{Others, nobody_has};
use super::{Check, Run};
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "auth.AuthorizationPoliciesAnalyzer",
    description: "AuthorizationPolicies for no workload, of no provider, or for clients of namespaces that do not exist",
    codes: &[Code::NoMatchingWorkloadsFound, Code::ReferencedResourceNotFound],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let namespaces = Namespaces::of(input);
    // The node's network is not captured: who shares it has no sidecar, whatever its namespace says.
    let in_mesh =
        |pod: &Object<Pod>| workload::has_proxy(pod) || (!pod.spec.host_network && namespaces.holds(pod));
    let (pods, others) = (Pods::that(input, |pod| in_mesh(pod)), Others::of(input));
    let mut messages = Vec::new();
    for policy in input.snapshot.authorization_policies.iter() {
        messages.extend(without_workloads(input, &pods, &others, policy));
        messages.extend(unknown_provider(input, policy));
        if input.knows::<Namespace>() {
            messages.extend(unknown_namespaces(input, policy));
        }
    }
    messages
}

fn without_workloads(
    input: &Input,
    pods: &Pods<'_>,
    others: &Others<'_>,
    policy: &Object<AuthorizationPolicy>,
) -> Option<Message> {
    // Policies that are attached to an object select no pods.
    if policy.spec.target_ref.is_some() || !policy.spec.target_refs.is_empty() {
        return None;
    }
    let namespace = &policy.metadata.namespace;
    let of_mesh = *namespace == input.mesh.root_namespace;
    let none = Labels::new();
    let labels = policy.spec.selector.as_ref().map_or(&none, |selector| &selector.match_labels);
    if of_mesh && labels.is_empty() {
        return None;
    }
    let place = (!of_mesh).then_some(namespace.as_str());
    if !nobody_has(input, pods, others, place, labels) {
        return None;
    }
    let text =
        format!("No matching workloads for this resource with the following labels: {}", selector(labels));
    let path = if labels.is_empty() {
        at("metadata.name")
    } else {
        first_label("spec.selector.matchLabels", labels)
    };
    Some(Message::new(Code::NoMatchingWorkloadsFound, refer(policy), text).at(path))
}

/// A policy of a provider that is not there denies every request.
fn unknown_provider(input: &Input, policy: &Object<AuthorizationPolicy>) -> Option<Message> {
    let name = &policy.spec.provider.as_ref()?.name;
    let known = input.mesh_config.extension_providers.iter().any(|provider| provider.name == *name);
    if known || input.mesh_config_written.is_none() {
        return None;
    }
    Some(not_found(policy, "extension provider", name, at("spec.provider.name")))
}

fn unknown_namespaces(input: &Input, policy: &Object<AuthorizationPolicy>) -> Vec<Message> {
    let mut messages = Vec::new();
    for (rule_index, rule) in policy.spec.rules.iter().enumerate() {
        for (from_index, from) in rule.from.iter().enumerate() {
            let Some(source) = &from.source else { continue };
            for (field, names) in
                [("namespaces", &source.namespaces), ("notNamespaces", &source.not_namespaces)]
            {
                for (index, name) in names.iter().enumerate().filter(|(_, name)| !exists(input, name)) {
                    let path = format!("spec.rules[{rule_index}].from[{from_index}].source.{field}[{index}]");
                    messages.push(not_found(policy, "namespace", name, at(&path)));
                }
            }
        }
    }
    messages
}

/// True where a namespace is meant by a name, which may begin or end with `*`.
fn exists(input: &Input, name: &str) -> bool {
    let always_there =
        || name == input.mesh.root_namespace || name == "default" || IGNORED_NAMESPACES.contains(&name);
    if input.files_alone && always_there() {
        return true;
    }
    let mut namespaces = input.snapshot.namespaces.iter().map(|namespace| namespace.metadata.name.as_str());
    match (name.strip_prefix('*'), name.strip_suffix('*')) {
        (Some(suffix), _) => namespaces.any(|known| known.ends_with(suffix)),
        (_, Some(prefix)) => namespaces.any(|known| known.starts_with(prefix)),
        _ => input.snapshot.namespaces.get("", name).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts, texts_with_mesh};
    use super::*;

    const HEAD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: cart}}\nspec: {containers: [{name: app}, {name: istio-proxy}]}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: plain, labels: {app: outside}}\nspec: {containers: [{name: app}]}\n---\n";

    fn policy(namespace: &str, spec: &str) -> String {
        format!(
            "{HEAD}apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a, namespace: {namespace}}}\nspec:\n  {spec}\n"
        )
    }

    #[test]
    fn selectors_without_workloads() {
        let bogus = policy("shop", "selector:\n    matchLabels:\n      app: bogus");
        assert_eq!(findings(&CHECK, &bogus), ["IST0127 AuthorizationPolicy shop/a@25"]);
        assert_eq!(
            texts(&CHECK, &bogus),
            ["No matching workloads for this resource with the following labels: app=bogus"]
        );
        for bad in [
            policy("plain", "{selector: {matchLabels: {app: outside}}}"),
            policy("plain", "{}"),
            policy("istio-system", "{selector: {matchLabels: {app: bogus}}}"),
            policy("shop", "{selector: {matchLabels: {app: cart}}}")
                .replace("p, namespace: shop", "p, namespace: plain"),
            policy("shop", "{selector: {matchLabels: {app: cart}}}")
                .replace("[{name: app}, {name: istio-proxy}]}", "[{name: app}], hostNetwork: true}"),
        ] {
            assert_eq!(findings(&CHECK, &bad).len(), 1, "{bad}");
        }
        for good in [
            policy("shop", "{selector: {matchLabels: {app: cart}}}"),
            policy("istio-system", "{selector: {matchLabels: {app: cart}}}"),
            policy("istio-system", "{}"),
            policy("shop", "{}"),
            policy("plain", "{targetRefs: [{kind: Service, name: x}]}"),
        ] {
            assert!(findings(&CHECK, &good).is_empty(), "{good}");
        }
    }

    #[test]
    fn machines_and_pods_to_come_are_workloads() {
        let bogus = policy("shop", "{selector: {matchLabels: {app: vm}}}");
        let entry = "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w, namespace: shop}\nspec: {address: 1.1.1.1, labels: {app: vm}}\n";
        let maker = |kind: &str| {
            format!(
                "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: w, namespace: shop}}\nspec: {{template: {{metadata: {{labels: {{app: vm}}}}}}}}\n"
            )
        };
        let rollout = "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: w, namespace: shop}\nspec: {template: {metadata: {labels: {app: vm}}, spec: {containers: [{name: a}]}}}\n";
        for other in [entry.to_owned(), maker("Deployment"), maker("StatefulSet"), rollout.to_owned()] {
            assert!(findings(&CHECK, &format!("{bogus}{other}")).is_empty(), "{other}");
            let elsewhere = other.replace("namespace: shop", "namespace: plain");
            assert_eq!(findings(&CHECK, &format!("{bogus}{elsewhere}")).len(), 1, "{elsewhere}");
            // Whoever writes no namespace means the same one everywhere.
            let nowhere = format!("{bogus}{other}")
                .replace("a, namespace: shop}", "a}")
                .replace("w, namespace: shop}", "w}");
            assert!(findings(&CHECK, &nowhere).is_empty(), "{nowhere}");
        }
    }

    #[test]
    fn clients_of_namespaces_that_are_not_there() {
        let rule = |names: &str| {
            policy("shop", &format!("rules: [{{from: [{{source: {{namespaces: [{names}]}}}}]}}]"))
        };
        assert_eq!(texts(&CHECK, &rule("shop, nowhere")), ["Referenced namespace not found: \"nowhere\""]);
        assert_eq!(texts(&CHECK, &rule("'no*'")).len(), 1);
        for good in ["shop", "'sh*'", "'*op'", "'*'"] {
            assert!(findings(&CHECK, &rule(good)).is_empty(), "{good}");
        }
    }

    #[test]
    fn providers_that_the_mesh_does_not_have() {
        let custom = policy("shop", "{action: CUSTOM, provider: {name: p}, rules: [{}]}");
        let mesh = |name: &str| {
            format!(
                "extensionProviders: [{{name: {name}, envoyExtAuthzHttp: {{service: s.shop.svc.cluster.local, port: 80}}}}]"
            )
        };
        assert_eq!(
            texts_with_mesh(&CHECK, &mesh("o"), &custom),
            ["Referenced extension provider not found: \"p\""]
        );
        assert!(texts_with_mesh(&CHECK, &mesh("p"), &custom).is_empty());
        assert!(texts(&CHECK, &custom).is_empty(), "what the mesh has is not known");
    }
}
