//! SGN0011: a RequestAuthentication without a policy that demands a token: requests with a wrong token are refused, requests without any
//! pass. Source: Istio's reference of RequestAuthentication.

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::security::authorization_policy::{AuthorizationAction, Rule};
use sagene_api::istio::security::{AuthorizationPolicy, RequestAuthentication};
use sagene_model::labels::{Labels, has_all};

use super::support::policy::{is_attached, labels};
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.RequestAuthenticationAloneAnalyzer",
    description: "Tokens that are verified, but that nothing demands",
    codes: &[Code::RequestAuthenticationWithoutPolicy],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    if input.snapshot.request_authentications.is_empty() {
        return Vec::new();
    }
    let routes_by_claims = input.snapshot.virtual_services.iter().any(|object| {
        let conditions = object.spec.http.iter().flat_map(|route| &route.r#match);
        conditions
            .into_iter()
            .any(|condition| condition.headers.keys().any(|name| name.starts_with("@request.auth.")))
    });
    if routes_by_claims || input.is_withheld::<AuthorizationPolicy>() || input.is_withheld::<VirtualService>()
    {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for object in
        input.snapshot.request_authentications.iter().filter(|object| !object.spec.jwt_rules.is_empty())
    {
        let spaces = [object.metadata.namespace.as_str(), input.mesh.root_namespace.as_str()];
        let mut policies =
            spaces.iter().flat_map(|space| input.snapshot.authorization_policies.in_namespace(space));
        // In the root namespace it is about workloads of every namespace; any policy may be the one that demands.
        let of_mesh = object.metadata.namespace == input.mesh.root_namespace;
        let demands =
            |policy: &Object<AuthorizationPolicy>| demands_token(policy) && may_meet(object, policy);
        let is_demanded = if of_mesh {
            input.snapshot.authorization_policies.iter().any(|policy| demands_token(policy))
        } else {
            policies.any(|policy| demands(policy))
        };
        if is_demanded {
            continue;
        }
        let text = "Tokens are verified, but no AuthorizationPolicy demands one: requests without a token pass. Allow by requestPrincipals, or \
                    deny notRequestPrincipals [\"*\"]."
            .to_owned();
        let code = Code::RequestAuthenticationWithoutPolicy;
        messages.push(Message::new(code, refer(object.as_ref()), text).at(at("spec.jwtRules")));
    }
    messages
}

/// True where some workload may be selected by both.
fn may_meet(object: &Object<RequestAuthentication>, policy: &Object<AuthorizationPolicy>) -> bool {
    let attached = object.spec.target_ref.is_some() || !object.spec.target_refs.is_empty();
    if attached || is_attached(&policy.spec) {
        return true;
    }
    let (left, right): (Labels, Labels) =
        (labels(object.spec.selector.as_ref()), labels(policy.spec.selector.as_ref()));
    has_all(&left, &right) || has_all(&right, &left)
}

fn demands_token(policy: &Object<AuthorizationPolicy>) -> bool {
    match policy.spec.action {
        AuthorizationAction::Allow => policy.spec.rules.iter().any(|rule| names_token(rule, false)),
        AuthorizationAction::Deny => policy.spec.rules.iter().any(|rule| names_token(rule, true)),
        AuthorizationAction::Audit => false,
        // Whoever is asked may demand it.
        AuthorizationAction::Custom => true,
    }
}

/// True where a rule is about who a token is of: that there is one, or that there is none.
fn names_token(rule: &Rule, negated: bool) -> bool {
    let sources = rule.from.iter().filter_map(|from| from.source.as_ref());
    let by_source = sources.into_iter().any(|source| {
        let names = if negated { &source.not_request_principals } else { &source.request_principals };
        !names.is_empty()
    });
    by_source
        || rule.when.iter().any(|condition| {
            let values = if negated { &condition.not_values } else { &condition.values };
            condition.key.starts_with("request.auth.") && !values.is_empty()
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn yaml(policy: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  jwtRules:\n  - issuer: i\n---\n\
             apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec: {policy}\n"
        )
    }

    #[test]
    fn tokens_have_to_be_demanded() {
        for bad in [
            "{rules: [{from: [{source: {namespaces: [x]}}]}]}",
            "{selector: {matchLabels: {app: other}}, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
            "{action: DENY, rules: [{from: [{source: {requestPrincipals: [x]}}]}]}",
        ] {
            let found = findings(&CHECK, &yaml(bad));
            assert!(
                found.len() == 1 && found[0].starts_with("SGN0011 RequestAuthentication default/r"),
                "{bad} {found:?}"
            );
        }
        for good in [
            "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
            "{rules: [{when: [{key: 'request.auth.claims[group]', values: [x]}]}]}",
            "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}",
            "{selector: {matchLabels: {app: web, version: v1}}, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
        ] {
            assert!(findings(&CHECK, &yaml(good)).is_empty(), "{good}");
        }
    }
}
