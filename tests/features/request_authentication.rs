//! RequestAuthentication and AuthorizationPolicy together, as the tutorials on end-user authentication have them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sagene_api::istio::networking::{Gateway, VirtualService};
use sagene_api::istio::security::{AuthorizationPolicy, RequestAuthentication};
use serde_json::{Value, json};

use crate::mesh::{App, Mesh, body, status};

struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("key"))
    }

    fn jwks(&self) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]}).to_string()
    }

    fn bearer(&self, payload: &Value) -> String {
        let header = json!({"alg": "ES256"}).to_string();
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("Authorization: Bearer {signed}.{}\r\n", BASE64.encode(signature.as_ref()))
    }
}

fn claims(subject: &str) -> Value {
    json!({"iss": "testing@secure.istio.io", "sub": subject, "groups": ["group1", "group2"], "scope": "read write",
           "roles": {"shop": "admin"}})
}

fn authentication(issuer: &Issuer, selector: &str) -> String {
    format!(
        "{{metadata: {{name: jwt, namespace: shop}}, spec: {{selector: {{matchLabels: {{{selector}}}}}, jwtRules: [\
         {{issuer: testing@secure.istio.io, jwks: '{}', forwardOriginalToken: true, \
         outputClaimToHeaders: [{{header: x-sub, claim: sub}}]}}, {{issuer: second, jwks: '{}'}}]}}}}",
        issuer.jwks(),
        issuer.jwks()
    )
}

#[test]
fn requests_need_a_good_token_only_where_a_policy_says_so() {
    let (app, issuer) = (App::start(), Issuer::new());
    let mut mesh = Mesh::new(&app);
    mesh.put::<RequestAuthentication>(&authentication(&issuer, "app: web"));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    let (good, mut second) = (issuer.bearer(&claims("alice")), claims("bob"));
    second["iss"] = json!("second");
    assert_eq!(status(&sidecar.get("/", "")), 200);
    let answer = sidecar.get("/", &good);
    assert!(answer.contains("x-sub: alice\r\n") && answer.contains("authorization: Bearer "), "{answer}");
    assert_eq!(status(&sidecar.get("/", &issuer.bearer(&second))), 200);
    let bad = sidecar.get("/", "Authorization: Bearer deadbeef\r\n");
    assert_eq!(status(&bad), 401);
    assert_eq!(body(&bad), "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
    assert_eq!(body(&sidecar.get("/", &Issuer::new().bearer(&claims("alice")))), "Jwt verification fails");
    drop(sidecar);
    let policies = [
        ("from: [{source: {requestPrincipals: ['*']}}]", 200, 403),
        ("from: [{source: {requestPrincipals: ['testing@secure.istio.io/*']}}]", 200, 403),
        ("from: [{source: {requestPrincipals: ['testing@secure.istio.io/alice']}}]", 200, 403),
        ("from: [{source: {requestPrincipals: ['testing@secure.istio.io/bob']}}]", 403, 403),
        ("when: [{key: 'request.auth.claims[groups]', values: [group2]}]", 200, 403),
        ("when: [{key: 'request.auth.claims[groups]', values: [group3]}]", 403, 403),
        ("when: [{key: 'request.auth.claims[scope]', values: [write]}]", 200, 403),
        ("when: [{key: 'request.auth.claims[roles][shop]', values: ['adm*']}]", 200, 403),
        ("when: [{key: 'request.auth.claims[roles][shop]', notValues: [admin]}]", 403, 200),
        ("from: [{source: {notRequestPrincipals: ['*']}}]", 403, 200),
    ];
    for (rule, with, without) in policies {
        for (action, flip) in [("ALLOW", false), ("DENY", true)] {
            let name = format!(
                "{{metadata: {{name: who, namespace: shop}}, spec: {{action: {action}, rules: [{{{rule}}}]}}}}"
            );
            mesh.put::<AuthorizationPolicy>(&name);
            let sidecar = mesh.sidecar_in(&app).expect("accepted");
            let expected = |code: u16| if flip { if code == 200 { 403 } else { 200 } } else { code };
            let answer = sidecar.get("/", &good);
            assert_eq!(status(&answer), expected(with), "{action} {rule} with a token: {answer}");
            assert_eq!(status(&sidecar.get("/", "")), expected(without), "{action} {rule} without a token");
        }
    }
}

#[test]
fn paths_with_templates_are_matched() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    mesh.put::<AuthorizationPolicy>(
        "{metadata: {name: paths, namespace: shop}, spec: {rules: [{to: [{operation: {paths: ['/a/{*}/c', '/rest/{**}']}}]}]}}",
    );
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    for (path, code) in
        [("/a/b/c", 200), ("/a/b/b/c", 403), ("/a//c", 403), ("/rest/x/y?q=1", 200), ("/other", 403)]
    {
        assert_eq!(status(&sidecar.get(path, "")), code, "{path}");
    }
}

#[test]
fn a_gateway_routes_by_claims() {
    let (app, issuer) = (App::start(), Issuer::new());
    let mut mesh = Mesh::new(&app);
    mesh.put::<RequestAuthentication>(&authentication(&issuer, "istio: ingressgateway"));
    mesh.put::<Gateway>(
        "{metadata: {name: front, namespace: shop}, spec: {selector: {istio: ingressgateway}, servers: [\
         {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}}",
    );
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: ['*'], gateways: [front], http: [\
         {{match: [{{headers: {{'@request.auth.claims.groups': {{exact: group1}}}}}}], route: [{{destination: {{host: web, \
         port: {{number: {}}}}}}}]}}]}}}}",
        app.address.port()
    ));
    let gateway = mesh.gateway(8080).expect("accepted");
    assert_eq!(status(&gateway.get("/", &issuer.bearer(&claims("alice")))), 200);
    let mut other = claims("alice");
    other["groups"] = json!(["group9"]);
    assert_eq!(status(&gateway.get("/", &issuer.bearer(&other))), 404);
    assert_eq!(status(&gateway.get("/", "")), 404);
    assert_eq!(status(&gateway.get("/", "Authorization: Bearer a.b.c\r\n")), 401);
}
