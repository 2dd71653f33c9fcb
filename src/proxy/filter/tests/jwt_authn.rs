//! Tokens of every kind against the filter, and policies on what tokens say.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA384, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::harness::{Parts, Running, body, status};

/// An issuer with a key of each kind.
struct Issuer {
    rsa: RsaKeyPair,
    elliptic: EcdsaKeyPair,
}

impl Issuer {
    fn new() -> Self {
        let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("key");
        let elliptic = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("key");
        Self { rsa, elliptic }
    }

    fn jwks(&self) -> String {
        let public = self.rsa.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let point = self.elliptic.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "n": BASE64.encode(n.big_endian_without_leading_zero()),
             "e": BASE64.encode(e.big_endian_without_leading_zero())},
            {"kty": "EC", "kid": "ec", "crv": "P-256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
            {"kty": "unheard of"},
        ]})
        .to_string()
    }

    fn token(&self, algorithm: &str, key: &str, payload: &Value) -> String {
        let header = json!({"alg": algorithm, "kid": key, "typ": "JWT"});
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(payload.to_string()));
        let random = SystemRandom::new();
        let signature = match algorithm {
            "ES256" => self.elliptic.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
            other => {
                let mut out = vec![0; self.rsa.public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if other == "PS384" { &RSA_PSS_SHA384 } else { &RSA_PKCS1_SHA256 };
                self.rsa.sign(padding, &random, signed.as_bytes(), &mut out).expect("signed");
                out
            }
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}

fn claims() -> Value {
    json!({"iss": "testing@secure.istio.io", "sub": "alice", "exp": now() + 600, "aud": ["shop", "bank"],
           "groups": ["readers", "writers"], "azp": "app-1", "scope": "read write", "nested": {"level": "gold"}, "n": 7})
}

/// The filter as the control plane writes it, and behind it policies if any.
fn start(jwks: &str, more: &str) -> Running {
    let filters = format!(
        r#"- name: envoy.filters.http.jwt_authn
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
    providers:
      origins-0:
        issuer: testing@secure.istio.io
        audiences: [shop]
        payload_in_metadata: payload
        normalize_payload_in_metadata: {{space_delimited_claims: [scope]}}
        claim_to_headers: [{{header_name: X-Level, claim_name: nested.level}}]
        forward_payload_header: x-payload
        local_jwks: {{inline_string: '{jwks}'}}
    rules:
    - match: {{prefix: "/"}}
      requires: {{requires_any: {{requirements: [{{provider_name: origins-0}}, {{allow_missing: {{}}}}]}}}}
    bypass_cors_preflight: true
{more}"#
    );
    Parts { filters, ..Parts::default() }.start().expect("accepted")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn tokens_are_judged_in_envoys_words() {
    let issuer = Issuer::new();
    let running = start(&issuer.jwks(), "");
    for (algorithm, key) in [("RS256", "rsa"), ("PS384", "rsa"), ("ES256", "ec")] {
        let token = issuer.token(algorithm, key, &claims());
        let answer = running.get("/a", &format!("X-Level: forged\r\n{}", bearer(&token)));
        assert_eq!(status(&answer), 200, "{algorithm}: {answer}");
        // The token is taken off, its payload and one claim are handed on, and nobody else may set those.
        assert!(!answer.contains("authorization:") && answer.contains("x-level: gold\r\n"), "{answer}");
        assert!(!answer.contains("forged"), "{answer}");
        let payload = token.split('.').nth(1).expect("payload");
        assert!(answer.contains(&format!("x-payload: {payload}\r\n")), "{answer}");
    }
    assert_eq!(status(&running.get("/a", "")), 200, "a request without token passes");

    let with = |changes: Value| {
        let mut payload = claims();
        for (name, value) in changes.as_object().expect("changes") {
            payload[name] = value.clone();
        }
        issuer.token("RS256", "rsa", &payload)
    };
    let mut forged = with(json!({}));
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let cases = [
        (
            "a.b".to_owned(),
            401,
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        (with(json!({"exp": now() - 61})), 401, "Jwt is expired"),
        (with(json!({"nbf": now() + 120})), 401, "Jwt not yet valid"),
        (with(json!({"iss": "somebody else"})), 401, "Jwt issuer is not configured"),
        (with(json!({"aud": "elsewhere"})), 401, "Audiences in Jwt are not allowed"),
        (forged, 401, "Jwt verification fails"),
        (
            issuer.token("RS256", "unknown", &claims()),
            401,
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
    ];
    for (token, code, text) in cases {
        let answer = running.get("/a?b=c", &bearer(&token));
        assert_eq!((status(&answer), body(&answer)), (code, text));
        let challenge =
            "www-authenticate: Bearer realm=\"http://shop.test/a?b=c\", error=\"invalid_token\"\r\n";
        assert!(answer.contains(challenge), "{answer}");
    }
    assert_eq!(
        status(&running.get("/a", &bearer(&with(json!({"exp": now() - 30}))))),
        200,
        "clocks may differ by a minute"
    );
    assert_eq!(status(&running.get(&format!("/a?access_token={}&x=1", with(json!({}))), "")), 200);
    assert_eq!(running.stat("http.front.jwt_authn.denied"), 7);
}

#[test]
fn policies_match_what_tokens_say() {
    let issuer = Issuer::new();
    let claim = |path: &[&str], value: &str| {
        let keys: Vec<String> = path.iter().map(|key| format!("{{key: {key}}}")).collect();
        format!(
            "{{metadata: {{filter: envoy.filters.http.jwt_authn, path: [{{key: payload}}, {}], value: {value}}}}}",
            keys.join(", ")
        )
    };
    let exact = |text: &str| format!("{{string_match: {{exact: {text}}}}}");
    let listed = |text: &str| format!("{{list_match: {{one_of: {}}}}}", exact(text));
    let rbac = |action: &str, principal: &str| {
        format!(
            r#"- name: envoy.filters.http.rbac
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
    rules: {{action: {action}, policies: {{p: {{permissions: [{{any: true}}], principals: [{principal}]}}}}}}
"#
        )
    };
    let asked = |action: &str, principal: &str, payload: Option<Value>| {
        let running = start(&issuer.jwks(), &rbac(action, principal));
        let headers = payload.map_or(String::new(), |payload| bearer(&issuer.token("ES256", "ec", &payload)));
        let answer = running.get("/a", &headers);
        if status(&answer) == 403 {
            assert_eq!(body(&answer), "RBAC: access denied");
        }
        status(&answer)
    };
    let subject = claim(&["sub"], &exact("alice"));
    assert_eq!(asked("ALLOW", &subject, Some(claims())), 200);
    assert_eq!(asked("ALLOW", &subject, None), 403);
    assert_eq!(asked("DENY", &subject, Some(claims())), 403);
    assert_eq!(asked("DENY", &subject, None), 200);
    let mut other = claims();
    other["sub"] = json!("mallory");
    assert_eq!(asked("ALLOW", &subject, Some(other.clone())), 403);
    assert_eq!(asked("DENY", &subject, Some(other)), 200);
    assert_eq!(asked("ALLOW", &claim(&["groups"], &listed("writers")), Some(claims())), 200);
    assert_eq!(asked("ALLOW", &claim(&["groups"], &listed("admins")), Some(claims())), 403);
    assert_eq!(asked("DENY", &claim(&["nested", "level"], &exact("gold")), Some(claims())), 403);
    assert_eq!(asked("ALLOW", &claim(&["scope"], &listed("write")), Some(claims())), 200);
    assert_eq!(asked("DENY", &format!("{{not_id: {subject}}}"), None), 403);
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let refused = |filter: &str| {
        let parts = Parts { filters: filter.to_owned(), ..Parts::default() };
        parts.start().err().expect("refused")
    };
    let said = refused(
        r#"- name: jwt
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
    providers: {a: {issuer: x, remote_jwks: {http_uri: {uri: "http://x/", cluster: x, timeout: 1s}}}}
"#,
    );
    assert!(said.contains("remote_jwks"), "{said}");
    let said = refused(
        r#"- name: rbac
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
    rules: {policies: {p: {permissions: [{matcher: {name: x}}], principals: [{any: true}]}}}
"#,
    );
    assert!(said.contains("permissions") && said.contains("matcher"), "{said}");
}
