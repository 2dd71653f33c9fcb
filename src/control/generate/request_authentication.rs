//! Request authentications as the filter that verifies tokens.

use std::collections::HashMap;

use sagene_api::istio::security::request_authentication::JwtRule;

use super::proto::{any, core, http, route};
use crate::index::inbound::InboundKey;
use crate::key_sets::KeySets;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter,
};
use http::jwt_authn::v3::{
    JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement, JwtRequirementAndList,
    JwtRequirementOrList, RequirementRule, jwt_provider, jwt_requirement::RequiresType, requirement_rule,
};

/// Claims whose text is always a list.
const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];

/// The filter of a workload; `None` where no rule selects it. Gateways choose the route anew, by what a token says.
pub(crate) fn filter(key: &InboundKey, keys: &KeySets, gateway: bool) -> Option<HttpFilter> {
    let mut rules: Vec<&JwtRule> =
        key.authentication.iter().flat_map(|policy| &policy.spec.jwt_rules).collect();
    if rules.is_empty() {
        return None;
    }
    rules.sort_by(|left, right| left.issuer.cmp(&right.issuer));
    let names: Vec<String> = (0..rules.len()).map(|index| format!("origins-{index}")).collect();
    let providers =
        names.iter().zip(&rules).map(|(name, rule)| (name.clone(), provider(rule, keys, gateway)));
    let config = JwtAuthentication {
        providers: providers.collect::<HashMap<_, _>>(),
        rules: vec![RequirementRule {
            r#match: Some(route::RouteMatch {
                path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".to_owned())),
                ..route::RouteMatch::default()
            }),
            requirement_type: Some(requirement_rule::RequirementType::Requires(requirement(&names))),
        }],
        bypass_cors_preflight: true,
        ..JwtAuthentication::default()
    };
    Some(HttpFilter {
        name: "envoy.filters.http.jwt_authn".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&config))),
        ..HttpFilter::default()
    })
}

fn provider(rule: &JwtRule, keys: &KeySets, gateway: bool) -> JwtProvider {
    let from_headers = rule
        .from_headers
        .iter()
        .map(|header| JwtHeader { name: header.name.clone(), value_prefix: header.prefix.clone() });
    let claim_to_headers = rule.output_claim_to_headers.iter().map(|each| JwtClaimToHeader {
        header_name: each.header.clone(),
        claim_name: each.claim.clone(),
        ..JwtClaimToHeader::default()
    });
    let own = rule.space_delimited_claims.iter().map(String::as_str);
    let mut space_delimited: Vec<String> = Vec::new();
    for name in SPACE_DELIMITED.into_iter().chain(own) {
        if !space_delimited.iter().any(|known| known == name) {
            space_delimited.push(name.to_owned());
        }
    }
    let specifier = core::data_source::Specifier::InlineString(keys.of_rule(rule).to_string());
    JwtProvider {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        forward: rule.forward_original_token,
        from_headers: from_headers.collect(),
        from_params: rule.from_params.clone(),
        from_cookies: rule.from_cookies.clone(),
        forward_payload_header: rule.output_payload_to_header.clone(),
        payload_in_metadata: "payload".to_owned(),
        normalize_payload_in_metadata: Some(jwt_provider::NormalizePayload {
            space_delimited_claims: space_delimited,
        }),
        claim_to_headers: claim_to_headers.collect(),
        clear_route_cache: gateway,
        jwks_source_specifier: Some(jwt_provider::JwksSourceSpecifier::LocalJwks(core::DataSource {
            specifier: Some(specifier),
            ..core::DataSource::default()
        })),
        ..JwtProvider::default()
    }
}

fn requires(kind: RequiresType) -> JwtRequirement {
    JwtRequirement { requires_type: Some(kind) }
}

fn any_of(requirements: Vec<JwtRequirement>) -> JwtRequirement {
    requires(RequiresType::RequiresAny(JwtRequirementOrList { requirements }))
}

/// A token of any provider, or none; what is there must be good.
fn requirement(names: &[String]) -> JwtRequirement {
    let by_name = |name: &String| requires(RequiresType::ProviderName(name.clone()));
    let or_missing =
        |name: &String| any_of(vec![by_name(name), requires(RequiresType::AllowMissing(Default::default()))]);
    match names {
        [only] => or_missing(only),
        several => {
            let all = several.iter().map(or_missing).collect();
            let all = requires(RequiresType::RequiresAll(JwtRequirementAndList { requirements: all }));
            any_of(several.iter().map(by_name).chain([all]).collect())
        }
    }
}
