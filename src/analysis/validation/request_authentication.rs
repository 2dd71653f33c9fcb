//! Rules of RequestAuthentication.

use sagene_api::Object;
use sagene_api::istio::security::RequestAuthentication;

use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for RequestAuthentication {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let mut report = Report::new();
        for (index, rule) in object.spec.jwt_rules.iter().enumerate() {
            let path = FieldPath::parse("spec.jwtRules").index(index);
            let located = rule.key_location();
            report.require(
                !rule.issuer.is_empty() || !located.is_empty() || !rule.jwks.is_empty(),
                &path,
                "issuer or jwksUri must be set",
            );
            report.require(
                rule.audiences.iter().all(|audience| !audience.is_empty()),
                &path.key("audiences"),
                "audience must be non-empty string",
            );
            let is_url =
                located.is_empty() || located.starts_with("http://") || located.starts_with("https://");
            report.require(is_url, &path.key("jwksUri"), "URI scheme must be http or https");
            report.require(
                located.is_empty() || rule.jwks.is_empty(),
                &path,
                "only one of jwks or jwksUri can be set",
            );
            let is_json = rule.jwks.is_empty()
                || serde_json::from_str::<serde_json::Value>(&rule.jwks)
                    .is_ok_and(|keys| keys.get("keys").is_some());
            report.require(is_json, &path.key("jwks"), "jwks must be a JSON Web Key Set: {\"keys\": [...]}");
            for (position, header) in rule.from_headers.iter().enumerate() {
                report.require(
                    !header.name.is_empty(),
                    &path.key("fromHeaders").index(position).key("name"),
                    "location header name must be non-empty string",
                );
            }
            for (position, claim) in rule.output_claim_to_headers.iter().enumerate() {
                let path = path.key("outputClaimToHeaders").index(position);
                report.require(
                    !claim.header.is_empty() && !claim.claim.is_empty(),
                    &path,
                    "header and claim must both be set",
                );
            }
        }
        report.finish()
    }
}
