//! IST0149: routes by claims of tokens at a gateway whose pods verify no tokens: without that there are no claims, and the route never
//! matches.

use sagene_api::Object;
use sagene_api::istio::networking::{Gateway, VirtualService};
use sagene_api::istio::security::RequestAuthentication;
use sagene_model::labels::has_all;
use sagene_model::virtual_service::{MESH_GATEWAY, full_gateway};

use super::support::gateways::workloads;
use super::support::pods::{PodRef, Pods};
use super::support::words::refer;
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;
use crate::path::FieldPath;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.JWTClaimRouteAnalyzer",
    description: "Routes by claims of tokens that nobody verifies",
    codes: &[Code::JwtClaimBasedRoutingWithoutRequestAuthN],
    how: Run::VirtualServices(judge),
};

/// Beginning of the header names that stand for claims; `.` or `[` follows.
const CLAIMS: &str = "@request.auth.claims";

fn judge(input: &Input) -> Option<Judge<'_>> {
    if input.is_withheld::<RequestAuthentication>() {
        return None;
    }
    let pods = Pods::of(input);
    Some(Box::new(move |object, messages| {
        let Some((claim, path)) = first_claim(object) else { return };
        for gateway in object.spec.gateways.iter().filter(|gateway| *gateway != MESH_GATEWAY) {
            let full = full_gateway(gateway, &object.metadata.namespace);
            let (namespace, name) = full.split_once('/').unwrap_or_default();
            let Some(found) = input.snapshot.get::<Gateway>(namespace, name) else { continue };
            let unverified = workloads(&pods, found).into_iter().find(|pod| !is_verified(input, pod));
            let Some(pod) = unverified else { continue };
            let text = format!(
                "The virtual service uses the JWT claim based routing (key: {claim}) but found no request authentication for the gateway \
                 ({full}) pod ({}). The request authentication must first be applied for the gateway pods to validate the JWT token and make \
                 the claims available for routing.",
                pod.metadata.name
            );
            let code = Code::JwtClaimBasedRoutingWithoutRequestAuthN;
            messages.push(Message::new(code, refer(object.as_ref()), text).at(path.clone()));
        }
    }))
}

/// The first condition on a claim, and its place.
fn first_claim(object: &Object<VirtualService>) -> Option<(&str, FieldPath)> {
    for (index, route) in object.spec.http.iter().enumerate() {
        for (position, condition) in route.r#match.iter().enumerate() {
            for (field, headers) in
                [("headers", &condition.headers), ("withoutHeaders", &condition.without_headers)]
            {
                if let Some(claim) = headers.keys().find(|name| is_claim(name)) {
                    let path = FieldPath::parse(&format!("spec.http[{index}].match[{position}].{field}"));
                    return Some((claim, path.key(claim)));
                }
            }
        }
    }
    None
}

fn is_claim(header: &str) -> bool {
    header.strip_prefix(CLAIMS).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// True where a RequestAuthentication is for a pod.
fn is_verified(input: &Input, pod: PodRef<'_>) -> bool {
    let namespaces = [pod.metadata.namespace.as_str(), input.mesh.root_namespace.as_str()];
    let policies = namespaces
        .into_iter()
        .flat_map(|namespace| input.snapshot.request_authentications.in_namespace(namespace));
    policies.into_iter().any(|policy| selects(policy, pod))
}

fn selects(policy: &Object<RequestAuthentication>, pod: PodRef<'_>) -> bool {
    // What a policy is attached to is not seen from its pods; the benefit of the doubt is its.
    policy.spec.target_ref.is_some()
        || !policy.spec.target_refs.is_empty()
        || policy
            .spec
            .selector
            .as_ref()
            .is_none_or(|selector| has_all(&pod.metadata.labels, &selector.match_labels))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(header: &str, policy_namespace: &str, label: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: infra, labels: {{istio: edge}}}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: infra}}\nspec: {{selector: {{istio: edge}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: {policy_namespace}}}\nspec: {{selector: {{matchLabels: {{istio: {label}}}}}}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: shop}}\nspec:\n  hosts: [a]\n  gateways: [infra/g]\n  http:\n  - match:\n    - headers:\n        '{header}': {{exact: x}}\n"
        )
    }

    #[test]
    fn claims_need_somebody_who_verifies() {
        let bad = yaml("@request.auth.claims.group", "shop", "edge");
        assert_eq!(findings(&CHECK, &bad), ["IST0149 VirtualService shop/v@24"]);
        assert!(
            texts(&CHECK, &bad)[0].contains("(key: @request.auth.claims.group) but found no request authentication for the gateway (infra/g) pod (p).")
        );
        assert_eq!(findings(&CHECK, &yaml("@request.auth.claims[group]", "infra", "other")).len(), 1);
        for good in [
            yaml("@request.auth.claims.group", "infra", "edge"),
            yaml("@request.auth.claims.group", "istio-system", "edge"),
            yaml("x-group", "shop", "edge"),
        ] {
            assert!(findings(&CHECK, &good).is_empty(), "{good}");
        }
    }
}
