//! EnvoyFilters as people copy them: rate limits at gateways and sidecars, headers, timeouts, routes, clusters.

use sagene_api::istio::networking::{EnvoyFilter, Gateway, VirtualService};

use crate::mesh::{App, Mesh, body, status};

pub(crate) fn filter(name: &str, patches: &str) -> String {
    format!("{{metadata: {{name: {name}, namespace: shop}}, spec: {{configPatches: [{patches}]}}}}")
}

/// The rate limit of the tutorial, in one of its contexts and as one of its kinds of value.
fn rate_limit(context: &str, kind: &str) -> String {
    let fields = "stat_prefix: http_local_rate_limiter, token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 600s}, \
        filter_enabled: {runtime_key: local_rate_limit_enabled, default_value: {numerator: 100, denominator: HUNDRED}}, \
        filter_enforced: {runtime_key: local_rate_limit_enforced, default_value: {numerator: 100, denominator: HUNDRED}}, \
        response_headers_to_add: [{append: false, header: {key: x-local-rate-limit, value: 'true'}}]";
    let url = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    let config = match kind {
        "" => format!("{{'@type': {url}, {fields}}}"),
        kind => format!("{{'@type': type.googleapis.com/{kind}, type_url: {url}, value: {{{fields}}}}}"),
    };
    filter(
        "limit",
        &format!(
            "{{applyTo: HTTP_FILTER, match: {{context: {context}, listener: {{filterChain: {{filter: {{name: \
             envoy.filters.network.http_connection_manager}}}}}}}}, patch: {{operation: INSERT_BEFORE, value: {{name: \
             envoy.filters.http.local_ratelimit, typed_config: {config}}}}}}}"
        ),
    )
}

pub(crate) fn gateway(mesh: &mut Mesh, app: &App) {
    mesh.put::<Gateway>(
        "{metadata: {name: front, namespace: shop}, spec: {selector: {istio: ingressgateway}, servers: [\
         {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}}",
    );
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: ['*'], gateways: [front], http: [{{name: all, route: [\
         {{destination: {{host: web, port: {{number: {}}}}}}}]}}]}}}}",
        app.address.port()
    ));
}

#[test]
fn the_rate_limit_of_the_tutorial_holds_where_it_says() {
    for kind in ["", "udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"] {
        for context in ["GATEWAY", "SIDECAR_INBOUND"] {
            let app = App::start();
            let mut mesh = Mesh::new(&app);
            gateway(&mut mesh, &app);
            mesh.put::<EnvoyFilter>(&rate_limit(context, kind));
            let (limited, free) = match context {
                "GATEWAY" => (mesh.gateway(8080), mesh.sidecar_in(&app)),
                _ => (mesh.sidecar_in(&app), mesh.gateway(8080)),
            };
            let (limited, free) = (limited.expect("accepted"), free.expect("accepted"));
            let answers: Vec<String> = (0..8).map(|_| limited.get("/", "")).collect();
            let passed = answers.iter().filter(|answer| status(answer) == 200).count();
            assert_eq!((passed, app.served()), (4, 4), "{context} {kind}");
            assert_eq!((status(&answers[7]), body(&answers[7])), (429, "local_rate_limited"));
            assert!(answers[7].contains("\r\nx-local-rate-limit: true\r\n"), "{}", answers[7]);
            assert!((0..8).all(|_| status(&free.get("/", "")) == 200), "{context} {kind}");
        }
    }
}

#[test]
fn routes_hosts_and_clusters_are_patched() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&filter(
        "routes",
        "{applyTo: HTTP_ROUTE, match: {context: GATEWAY, routeConfiguration: {vhost: {route: {action: ROUTE}}}}, patch: {operation: \
         INSERT_BEFORE, value: {name: teapot, match: {prefix: /teapot}, direct_response: {status: 418, body: {inline_string: short}}}}}, \
         {applyTo: VIRTUAL_HOST, match: {context: GATEWAY, routeConfiguration: {portNumber: 8080}}, patch: {operation: MERGE, value: \
         {response_headers_to_add: [{header: {key: x-patched, value: host}}]}}}, \
         {applyTo: ROUTE_CONFIGURATION, match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: \
         {response_headers_to_add: [{header: {key: x-not-here, value: 'x'}}]}}}, \
         {applyTo: NETWORK_FILTER, match: {context: GATEWAY, listener: {filterChain: {filter: {name: envoy.http_connection_manager}}}}, \
         patch: {operation: MERGE, value: {typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.\
         http_connection_manager.v3.HttpConnectionManager, server_name: tea, strip_any_host_port: true}}}}",
    ));
    let proxy = mesh.gateway(8080).expect("accepted");
    let answer = proxy.get("/teapot", "");
    assert_eq!((status(&answer), body(&answer)), (418, "short"));
    assert!(answer.contains("\r\nx-patched: host\r\n") && answer.contains("\r\nserver: tea\r\n"), "{answer}");
    assert!(!answer.contains("x-not-here"), "{answer}");
    let answer = proxy.get_host("web.shop:99", "/", "");
    assert!(status(&answer) == 200 && answer.contains("host: web.shop\r\n"), "{answer}");
    drop(proxy);
    mesh.put::<EnvoyFilter>(&filter(
        "clusters",
        &format!(
            "{{applyTo: CLUSTER, match: {{context: GATEWAY, cluster: {{service: web.shop.svc.cluster.local, portNumber: {}}}}}, patch: \
             {{operation: REMOVE}}}}",
            app.address.port()
        ),
    ));
    assert_eq!(status(&mesh.gateway(8080).expect("accepted").get("/", "")), 503);
}

#[test]
fn filters_that_the_proxy_does_not_know_are_refused_by_name() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    mesh.put::<EnvoyFilter>(&filter(
        "lua",
        "{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: \
         envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}}, patch: {operation: INSERT_BEFORE, \
         value: {name: envoy.lua, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, inline_code: x}}}}",
    ));
    let refused = mesh.sidecar_in(&app).err().expect("refused");
    assert!(
        refused.contains("virtualInbound") && refused.contains("lua.v3.Lua is not supported"),
        "{refused}"
    );
}

#[test]
fn priority_version_and_labels_decide_what_applies() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let header = |name: &str, priority: i32, more: &str, value: &str| {
        format!(
            "{{metadata: {{name: {name}, namespace: istio-system}}, spec: {{priority: {priority}, {more} configPatches: [{{applyTo: \
             VIRTUAL_HOST, match: {{context: SIDECAR_INBOUND{value}, \
             patch: {{operation: MERGE, value: {{response_headers_to_add: [{{header: {{key: x-order, value: {name}}}}}]}}}}}}]}}}}"
        )
    };
    mesh.put::<EnvoyFilter>(&header("late", 10, "", "}"));
    mesh.put::<EnvoyFilter>(&header("early", -10, "", "}"));
    mesh.put::<EnvoyFilter>(&header("other", 0, "workloadSelector: {labels: {app: other}},", "}"));
    mesh.put::<EnvoyFilter>(&header("old", 0, "", ", proxy: {proxyVersion: '^1\\.2.*'}}"));
    mesh.put::<EnvoyFilter>(&header(
        "new",
        0,
        "workloadSelector: {labels: {app: web}},",
        ", proxy: {proxyVersion: '^1\\.32.*'}}",
    ));
    let answer = mesh.sidecar_in(&app).expect("accepted").get("/", "");
    let order: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("x-order: ")).collect();
    assert_eq!(order, ["early", "new", "late"], "{answer}");
}

/// A patch that puts a filter in front of the gateway's router.
pub(crate) fn in_front_of_the_router(name: &str, config: &str) -> String {
    filter(
        name,
        &format!(
            "{{applyTo: HTTP_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: \
             envoy.filters.network.http_connection_manager, subFilter: {{name: envoy.filters.http.router}}}}}}}}}}, patch: \
             {{operation: INSERT_BEFORE, value: {{name: envoy.filters.http.{name}, typed_config: {config}}}}}}}"
        ),
    )
}

#[test]
fn a_buffer_waits_for_the_body_and_refuses_a_long_one() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&in_front_of_the_router(
        "buffer",
        "{'@type': type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 10}",
    ));
    let proxy = mesh.gateway(8080).expect("accepted");
    let fits = proxy.send(
        "POST / HTTP/1.1\r\nHost: web.shop\r\nConnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n",
    );
    assert_eq!(status(&fits), 200, "{fits}");
    assert!(body(&fits).contains("content-length: 10\r\n") && !body(&fits).contains("chunked"), "{fits}");
    assert_eq!(status(&proxy.get("/", "")), 200);
    let served = app.served();
    let long = proxy.post("/", "", "hello world");
    assert_eq!((status(&long), body(&long), app.served()), (413, "Payload Too Large", served), "{long}");
}

#[test]
fn a_filter_changes_headers_both_ways() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&in_front_of_the_router(
        "header_mutation",
        "{'@type': type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: {\
         request_mutations: [{remove: x-secret}, {append: {header: {key: x-path, value: '%REQ(:path)%'}}}], \
         response_mutations: [{append: {header: {key: x-frame-options, value: DENY}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}",
    ));
    let proxy = mesh.gateway(8080).expect("accepted");
    let answer = proxy.get("/here", "x-secret: 1\r\n");
    assert!(answer.contains("\r\nx-frame-options: DENY\r\n"), "{answer}");
    assert!(body(&answer).contains("x-path: /here\r\n") && !body(&answer).contains("x-secret"), "{answer}");
}

#[test]
fn answers_of_the_proxys_own_look_as_they_are_wanted() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: ['*'], gateways: [front], http: [{{match: [{{uri: {{exact: /ok}}}}], \
         route: [{{destination: {{host: web, port: {{number: {}}}}}}}]}}, {{match: [{{uri: {{exact: /teapot}}}}], directResponse: \
         {{status: 418, body: {{string: short}}}}}}]}}}}",
        app.address.port()
    ));
    let status_is = |code: u16| {
        format!(
            "filter: {{status_code_filter: {{comparison: {{op: EQ, value: {{default_value: {code}, runtime_key: any}}}}}}}}"
        )
    };
    mesh.put::<EnvoyFilter>(&filter(
        "answers",
        &format!(
            "{{applyTo: NETWORK_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: \
             envoy.filters.network.http_connection_manager}}}}}}}}, patch: {{operation: MERGE, value: {{typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, local_reply_config: \
             {{mappers: [{{{}, status_code: 410, body: {{inline_string: gone}}, headers_to_add: [{{header: {{key: x-local, value: 'yes'}}}}], \
             body_format_override: {{json_format: {{code: '%RESPONSE_CODE%', path: '%REQ(:path)%', said: '%LOCAL_REPLY_BODY%'}}}}}}], \
             body_format: {{text_format: '<p>%LOCAL_REPLY_BODY%</p>', content_type: text/html}}}}}}}}}}}}",
            status_is(404)
        ),
    ));
    let proxy = mesh.gateway(8080).expect("accepted");
    let lost = proxy.get("/lost", "");
    assert_eq!(status(&lost), 410, "{lost}");
    assert!(
        lost.contains("\r\nx-local: yes\r\n") && lost.contains("\r\ncontent-type: application/json\r\n"),
        "{lost}"
    );
    let said: serde_json::Value = serde_json::from_str(body(&lost)).expect("JSON");
    assert_eq!(said, serde_json::json!({"code": 410, "path": "/lost", "said": "gone"}), "{lost}");
    let teapot = proxy.get("/teapot", "");
    assert_eq!((status(&teapot), body(&teapot)), (418, "<p>short</p>"), "{teapot}");
    assert!(teapot.contains("\r\ncontent-type: text/html\r\n"), "{teapot}");
    let served = proxy.get("/ok", "");
    assert!(status(&served) == 200 && !body(&served).starts_with("<p>"), "answers of others stay: {served}");
}
