//! Rules of RequestAuthentication.

use sagene_api::Object;
use sagene_api::istio::security::RequestAuthentication;
use sagene_api::istio::security::request_authentication::JwtRule;
use sagene_model::jwks::has_usable_key;

use super::common::{attachment, duration};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for RequestAuthentication {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        attachment(&mut report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
        for (index, rule) in spec.jwt_rules.iter().enumerate() {
            jwt_rule(&mut report, &FieldPath::parse("spec.jwtRules").index(index), rule);
        }
        report.finish()
    }
}

fn inline_keys(report: &mut Report, path: &FieldPath, keys: &str) {
    if keys.is_empty() {
        return;
    }
    match serde_json::from_str::<serde_json::Value>(keys) {
        Ok(set) if has_usable_key(&set) => {}
        Ok(set) if set.get("keys").is_some_and(serde_json::Value::is_array) => {
            report.warning(path, "jwks has no key that proxies can use (RSA, EC, OKP or oct, with all its parts): no token is accepted");
        }
        _ => report.error(path, "jwks must be a JSON Web Key Set: {\"keys\": [...]}"),
    }
}

fn jwt_rule(report: &mut Report, path: &FieldPath, rule: &JwtRule) {
    let located = rule.key_location();
    report.require(!rule.issuer.is_empty() || !located.is_empty(), path, "issuer or jwksUri must be set");
    report.require(
        rule.jwks_uri.is_empty() || rule.jwks_uri_snake.is_empty(),
        path,
        "jwksUri and jwks_uri are the same field; set one of them",
    );
    let key =
        if rule.jwks_uri.is_empty() && !rule.jwks_uri_snake.is_empty() { "jwks_uri" } else { "jwksUri" };
    uri(report, &path.key(key), located);
    report.require(
        located.is_empty() || rule.jwks.is_empty(),
        path,
        "only one of jwks or jwksUri can be set",
    );
    inline_keys(report, &path.key("jwks"), &rule.jwks);
    for (field, values, words) in [
        ("audiences", &rule.audiences, "audience must be non-empty string"),
        ("fromParams", &rule.from_params, "location query must be non-empty string"),
        ("fromCookies", &rule.from_cookies, "cookie name must be non-empty string"),
        ("spaceDelimitedClaims", &rule.space_delimited_claims, "claim must be non-empty string"),
    ] {
        for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
            report.error(&path.key(field).index(index), words);
        }
    }
    for (index, header) in rule.from_headers.iter().enumerate() {
        report.require(
            !header.name.is_empty(),
            &path.key("fromHeaders").index(index).key("name"),
            "location header name must be non-empty string",
        );
    }
    for (index, claim) in rule.output_claim_to_headers.iter().enumerate() {
        let path = path.key("outputClaimToHeaders").index(index);
        let allowed =
            claim.header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        report.require(
            !claim.header.is_empty() && allowed,
            &path.key("header"),
            format_args!("outputClaimToHeaders header {:?} is no header name", claim.header),
        );
        report.require(!claim.claim.is_empty(), &path.key("claim"), "outputClaimToHeaders claim must be set");
    }
    duration(report, &path.key("timeout"), rule.timeout);
}

/// An address of keys; empty is fine.
fn uri(report: &mut Report, path: &FieldPath, text: &str) {
    if text.is_empty() {
        return;
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else {
        report.error(path, format!("URI scheme {text:?} is not supported; want http:// or https://"));
        return;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let (name, number) = match host.rsplit_once(':') {
        Some((name, number)) if !number.ends_with(']') => (name, Some(number)),
        _ => (host, None),
    };
    report.require(!name.is_empty(), path, format_args!("URI must include host: {text:?}"));
    let port_fits = number.is_none_or(|number| number.parse::<u16>().is_ok_and(|number| number != 0));
    report.require(port_fits, path, format_args!("URI {text:?} has no valid port"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rule: &str) -> Vec<String> {
        let spec: RequestAuthentication =
            serde_yaml::from_str(&format!("jwtRules: [{rule}]")).expect("a spec");
        let problems = RequestAuthentication::problems(&Object::new("n", "r", spec));
        problems
            .iter()
            .map(|it| it.path.to_string().trim_start_matches("spec.jwtRules[0]").to_owned())
            .collect()
    }

    #[test]
    fn every_rule_names_its_field() {
        for (bad, path) in [
            ("{}", ""),
            ("{issuer: a, jwksUri: 'ftp://a'}", ".jwksUri"),
            ("{issuer: a, jwksUri: 'https:///a'}", ".jwksUri"),
            ("{issuer: a, jwks_uri: 'https://a:b/c'}", ".jwks_uri"),
            (
                "{issuer: a, jwksUri: 'https://a', jwks: '{\"keys\": [{\"kty\": \"oct\", \"k\": \"YQ\"}]}'}",
                "",
            ),
            ("{issuer: a, jwks: '{\"keys\": []}'}", ".jwks"),
            ("{issuer: a, jwks: '{}'}", ".jwks"),
            ("{issuer: a, audiences: ['']}", ".audiences[0]"),
            ("{issuer: a, fromHeaders: [{name: ''}]}", ".fromHeaders[0].name"),
            ("{issuer: a, fromParams: ['']}", ".fromParams[0]"),
            (
                "{issuer: a, outputClaimToHeaders: [{header: 'a b', claim: c}]}",
                ".outputClaimToHeaders[0].header",
            ),
            ("{issuer: a, timeout: 0.1ms}", ".timeout"),
        ] {
            assert!(problems(bad).contains(&path.to_owned()), "{bad} → {:?}", problems(bad));
        }
        for good in [
            "{issuer: a}",
            "{jwksUri: 'https://a.com:8443/keys?x=y'}",
            "{issuer: a, jwksUri: 'http://[::1]:80/k', fromHeaders: [{name: x, prefix: 'Bearer '}], timeout: 2s}",
        ] {
            assert!(problems(good).is_empty(), "{good} → {:?}", problems(good));
        }
    }
}
