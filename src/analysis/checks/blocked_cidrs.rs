//! IST0175: keys of tokens may be fetched from any address, also from those of the cloud's metadata.

use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "authn.BlockedCIDRsAnalyzer",
    description: "A control plane that fetches keys of tokens from any address",
    codes: &[Code::JwksUriFetchUnrestricted],
    how: Run::Whole(run),
};

/// Most policies that are named.
const MOST_NAMES: usize = 5;

/// Variable of the control plane with the networks that it fetches nothing from.
const VARIABLE: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";

fn run(input: &Input) -> Vec<Message> {
    let mut policies: Vec<String> =
        input.snapshot.request_authentications.iter().map(|policy| key(&policy.metadata)).collect();
    if policies.is_empty() {
        return Vec::new();
    }
    policies.sort();
    let mut messages = Vec::new();
    for deployment in input.snapshot.deployments.iter() {
        let is_control_plane = deployment.metadata.labels.get("app").is_some_and(|app| app == "istiod");
        let mut variables =
            deployment.spec.template.spec.containers.iter().flat_map(|container| &container.env);
        if !is_control_plane
            || variables.any(|variable| variable.name == VARIABLE && !variable.value.is_empty())
        {
            continue;
        }
        let text = format!(
            "{VARIABLE} is not configured but {} RequestAuthentication resource(s) exist ({}). Consider configuring it to restrict JWKS URI \
             fetches to trusted networks.",
            policies.len(),
            some(&policies)
        );
        let path = at("spec.template.spec.containers[0]");
        messages
            .push(Message::new(Code::JwksUriFetchUnrestricted, refer(deployment.as_ref()), text).at(path));
    }
    messages
}

/// The first of many names.
fn some(names: &[String]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{}, and {more} more", names[..MOST_NAMES].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const POLICY: &str = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: r}\nspec: {jwtRules: [{issuer: i}]}\n";

    fn control_plane(variables: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: istiod, namespace: istio-system, labels: {{app: istiod}}}}\nspec:\n  template:\n    spec:\n      containers:\n      - {{name: discovery, env: [{variables}]}}\n"
        )
    }

    #[test]
    fn only_where_tokens_are_verified() {
        let open = control_plane("");
        assert!(findings(&CHECK, &open).is_empty());
        assert_eq!(findings(&CHECK, &(open.clone() + POLICY)), ["IST0175 Deployment istio-system/istiod@8"]);
        assert!(
            texts(&CHECK, &(open + POLICY))[0]
                .contains("but 1 RequestAuthentication resource(s) exist (default/r).")
        );
        let closed = control_plane("{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 169.254.0.0/16}");
        assert!(findings(&CHECK, &(closed + POLICY)).is_empty());
    }
}
