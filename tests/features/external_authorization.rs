//! AuthorizationPolicy with action CUSTOM: a provider is asked about what the rules match, by HTTP and by gRPC.

use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3 as auth;
use sagene_api::istio::security::AuthorizationPolicy;
use serde_json::{Value, json};

use crate::mesh::{App, Mesh, body, status};
use crate::service::{Asked, Service, answer, grpc_answer};

const POLICY: &str = "{metadata: {name: ext-authz, namespace: shop}, spec: {selector: {matchLabels: {app: web}}, action: CUSTOM, \
     provider: {name: authz}, rules: [{to: [{operation: {paths: ['/headers*']}}]}]}}";

fn provider(mesh: &mut Mesh, service: &Service, kind: &str, settings: Value) {
    mesh.add_service(
        "ext-authz",
        "foo",
        if kind == "envoyExtAuthzGrpc" { "grpc" } else { "http" },
        service.address,
    );
    let mut declared = settings;
    declared["service"] = json!("ext-authz.foo.svc.cluster.local");
    declared["port"] = json!(service.address.port());
    mesh.configure(json!({"extensionProviders": [{"name": "authz", kind: declared}]}));
    mesh.put::<AuthorizationPolicy>(POLICY);
}

/// Allows requests with `x-ext-authz: allow`.
fn by_header(asked: &Asked) -> axum::response::Response {
    if asked.header("x-ext-authz") == "allow" {
        answer(200, &[("x-result", "allowed"), ("x-secret", "1"), ("x-client", "yes")], "")
    } else {
        answer(403, &[("x-result", "denied"), ("x-secret", "1")], "denied by ext_authz")
    }
}

#[test]
fn by_http_the_answer_decides() {
    let (app, authz) = (App::start(), Service::start(by_header));
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    provider(
        &mut mesh,
        &authz,
        "envoyExtAuthzHttp",
        json!({
            "pathPrefix": "/check", "includeRequestHeadersInCheck": ["x-ext-*"], "includeAdditionalHeadersInCheck": {"x-extra": "e"},
            "headersToUpstreamOnAllow": ["x-result"], "headersToDownstreamOnDeny": ["x-result"], "headersToDownstreamOnAllow": ["x-client"],
        }),
    );
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    let allowed = sidecar.get(
        "/headers?a=b",
        "x-ext-authz: allow\r\nx-other: 1\r\nauthorization: Basic eA==\r\nx-result: mine\r\n",
    );
    assert_eq!(status(&allowed), 200, "{allowed}");
    assert!(body(&allowed).contains("x-result: allowed") && !body(&allowed).contains("mine"), "{allowed}");
    assert!(!body(&allowed).contains("x-secret") && allowed.contains("x-client: yes"), "{allowed}");
    let asked = &authz.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str(), asked.host.as_str()),
        ("GET", "/check/headers?a=b", "web.shop")
    );
    let told = ["x-ext-authz", "authorization", "x-extra", "content-length", "x-other"]
        .map(|name| asked.header(name));
    assert_eq!(told, ["allow", "Basic eA==", "e", "0", ""]);
    let denied = sidecar.get("/headers", "x-ext-authz: deny\r\n");
    assert_eq!((status(&denied), body(&denied)), (403, "denied by ext_authz"));
    assert!(denied.contains("x-result: denied") && !denied.contains("x-secret"), "{denied}");
    assert_eq!((app.served(), authz.asked().len()), (1, 2));
    assert_eq!(status(&sidecar.get("/ip", "x-ext-authz: deny\r\n")), 200, "no rule matches");
    assert_eq!(authz.asked().len(), 2, "and nobody is asked");
    drop(sidecar);
    log.wait_for_lines(3);
    assert!(log.lines()[1].contains(" 403 UAEX ext_authz_denied "), "{:?}", log.lines());
}

#[test]
fn a_provider_that_fails_refuses_or_not_as_told() {
    let app = App::start();
    let broken = Service::start(|_| answer(500, &[], "boom"));
    let cases = [(json!({}), 403), (json!({"statusOnError": "503"}), 503), (json!({"failOpen": true}), 200)];
    for (settings, expected) in cases {
        let mut mesh = Mesh::new(&app);
        provider(&mut mesh, &broken, "envoyExtAuthzHttp", settings);
        let sidecar = mesh.sidecar_in(&app).expect("accepted");
        assert_eq!(status(&sidecar.get("/headers", "")), expected);
    }
    let slow = Service::start(|_| {
        std::thread::sleep(Duration::from_secs(3));
        answer(200, &[], "")
    });
    let mut mesh = Mesh::new(&app);
    provider(&mut mesh, &slow, "envoyExtAuthzHttp", json!({"timeout": "0.05s"}));
    assert_eq!(status(&mesh.sidecar_in(&app).expect("accepted").get("/headers", "")), 403);
    let mut unknown = Mesh::new(&app);
    unknown.put::<AuthorizationPolicy>(POLICY);
    let sidecar = unknown.sidecar_in(&app).expect("accepted");
    assert_eq!(
        (status(&sidecar.get("/headers", "")), status(&sidecar.get("/ip", ""))),
        (403, 403),
        "nothing passes"
    );
}

#[test]
fn bodies_go_along_as_far_as_told() {
    let (app, authz) = (App::start(), Service::start(|_| answer(200, &[], "")));
    let mut mesh = Mesh::new(&app);
    let limit = |partial: bool| json!({"includeRequestBodyInCheck": {"maxRequestBytes": 8, "allowPartialMessage": partial}});
    provider(&mut mesh, &authz, "envoyExtAuthzHttp", limit(true));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    assert_eq!(status(&sidecar.post("/headers", "", "0123456789")), 200);
    assert_eq!(
        (&authz.asked()[0].body[..], authz.asked()[0].header("content-length")),
        (&b"01234567"[..], "8")
    );
    drop(sidecar);
    provider(&mut mesh, &authz, "envoyExtAuthzHttp", limit(false));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    assert_eq!(status(&sidecar.post("/headers", "", "0123456789")), 413);
    assert_eq!(status(&sidecar.post("/headers", "", "01234567")), 200);
    assert_eq!(authz.asked().len(), 2);
}

#[test]
fn by_grpc_the_service_learns_all_of_the_request() {
    use auth::check_response::HttpResponse::{DeniedResponse, OkResponse};
    use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
    let header = |key: &str, value: &str| HeaderValueOption {
        header: Some(HeaderValue { key: key.into(), value: value.into(), ..HeaderValue::default() }),
        ..HeaderValueOption::default()
    };
    let authz = Service::start(move |asked| {
        let check: auth::CheckRequest = asked.message();
        let http =
            check.attributes.and_then(|all| all.request).and_then(|request| request.http).unwrap_or_default();
        let allowed = http.headers.get("x-ext-authz").is_some_and(|value| value == "allow");
        let ok = auth::OkHttpResponse {
            headers: vec![header("x-result", "allowed")],
            headers_to_remove: vec!["x-drop".into()],
            response_headers_to_add: vec![header("x-client", "yes")],
            ..Default::default()
        };
        let denied = auth::DeniedHttpResponse {
            headers: vec![header("x-result", "denied")],
            body: "no".into(),
            ..Default::default()
        };
        grpc_answer(&auth::CheckResponse {
            status: Some(envoy_types::pb::google::rpc::Status {
                code: if allowed { 0 } else { 7 },
                ..Default::default()
            }),
            http_response: Some(if allowed { OkResponse(ok) } else { DeniedResponse(denied) }),
            ..Default::default()
        })
    });
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    provider(
        &mut mesh,
        &authz,
        "envoyExtAuthzGrpc",
        json!({"includeRequestBodyInCheck": {"maxRequestBytes": 100}}),
    );
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    let allowed = sidecar.get("/headers?a=b", "x-ext-authz: allow\r\nx-drop: 1\r\n");
    assert_eq!(status(&allowed), 200, "{allowed}");
    assert!(body(&allowed).contains("x-result: allowed") && !body(&allowed).contains("x-drop"), "{allowed}");
    assert!(allowed.contains("x-client: yes"), "{allowed}");
    let denied = sidecar.post("/headers", "x-ext-authz: deny\r\n", "text");
    assert_eq!((status(&denied), body(&denied)), (403, "no"));
    assert!(denied.contains("x-result: denied"), "{denied}");
    let asked = authz.asked();
    assert_eq!(asked[0].path, "/envoy.service.auth.v3.Authorization/Check");
    let all = asked[0].message::<auth::CheckRequest>().attributes.expect("attributes");
    let http = all.request.and_then(|request| request.http).expect("a request");
    let facts = [&http.method, &http.path, &http.host, &http.scheme, &http.protocol, &http.headers[":path"]];
    assert_eq!(facts, ["GET", "/headers?a=b", "web.shop", "http", "HTTP/1.1", "/headers?a=b"]);
    assert!(all.source.is_some_and(|source| source.address.is_some()));
    let http = asked[1]
        .message::<auth::CheckRequest>()
        .attributes
        .and_then(|all| all.request?.http)
        .expect("a request");
    assert_eq!((http.body.as_str(), http.size), ("text", 4));
}
