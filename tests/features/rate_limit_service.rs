//! Global rate limits: the two EnvoyFilters of Istio's tutorial at the gateway, and a service that says who may pass.

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3 as limits;
use limits::rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit};
use sagene_api::istio::networking::{EnvoyFilter, Gateway, VirtualService};

use crate::mesh::{App, Mesh, body, status};
use crate::service::{Service, grpc_answer};

const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// A gateway to the application, with the filter in front of its router and what requests are counted by.
fn limited(mesh: &mut Mesh, app: &App, service: &Service, more: &str) {
    mesh.add_service("ratelimit", "default", "grpc-port", service.address);
    mesh.put::<Gateway>(
        "{metadata: {name: front, namespace: shop}, spec: {selector: {istio: ingressgateway}, servers: [\
         {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}}",
    );
    let port = app.address.port();
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: ['*'], gateways: [front], http: [\
         {{match: [{{uri: {{prefix: /moved}}}}], redirect: {{uri: /}}}}, \
         {{name: free, match: [{{uri: {{prefix: /free}}}}], route: [{{destination: {{host: web, port: {{number: {port}}}}}}}]}}, \
         {{name: own, match: [{{uri: {{prefix: /own}}}}], route: [{{destination: {{host: web, port: {{number: {port}}}}}}}]}}, \
         {{route: [{{destination: {{host: web, port: {{number: {port}}}}}}}]}}]}}}}"
    ));
    let cluster = format!("outbound|{}||ratelimit.default.svc.cluster.local", service.address.port());
    mesh.put::<EnvoyFilter>(&format!(
        "{{metadata: {{name: filter-ratelimit, namespace: istio-system}}, spec: {{workloadSelector: {{labels: {{istio: ingressgateway}}}}, \
         configPatches: [{{applyTo: HTTP_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: \
         envoy.filters.network.http_connection_manager, subFilter: {{name: envoy.filters.http.router}}}}}}}}}}, patch: {{operation: \
         INSERT_BEFORE, value: {{name: envoy.filters.http.ratelimit, typed_config: {{'@type': \
         type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit, domain: shop-ratelimit, timeout: 10s, {more}, \
         rate_limit_service: {{grpc_service: {{envoy_grpc: {{cluster_name: '{cluster}', authority: ratelimit.default.svc.cluster.local}}}}, \
         transport_api_version: V3}}}}}}}}}}]}}}}"
    ));
    mesh.put::<EnvoyFilter>(
        "{metadata: {name: filter-ratelimit-svc, namespace: istio-system}, spec: {workloadSelector: {labels: {istio: ingressgateway}}, \
         configPatches: [{applyTo: VIRTUAL_HOST, match: {context: GATEWAY, routeConfiguration: {vhost: {name: '', route: {action: ANY}}}}, \
         patch: {operation: MERGE, value: {rate_limits: [{actions: [{request_headers: {header_name: ':path', descriptor_key: PATH}}]}, \
         {actions: [{masked_remote_address: {v4_prefix_mask_len: 8}}, {header_value_match: {descriptor_value: guest, headers: \
         [{name: x-user, present_match: true, invert_match: true}]}}]}]}}}]}}",
    );
}

fn header(key: &str, value: &str) -> HeaderValue {
    HeaderValue { key: key.to_owned(), value: value.to_owned(), ..HeaderValue::default() }
}

/// Refuses what is asked about `/over`.
fn by_path(question: &limits::RateLimitRequest) -> limits::RateLimitResponse {
    let entries = question.descriptors.iter().flat_map(|descriptor| &descriptor.entries);
    let over = entries.clone().any(|entry| entry.value == "/over");
    let code = if over { Code::OverLimit } else { Code::Ok };
    let limit = RateLimit { name: "few".to_owned(), requests_per_unit: 3, unit: Unit::Minute.into() };
    limits::RateLimitResponse {
        overall_code: code.into(),
        statuses: vec![DescriptorStatus {
            code: code.into(),
            current_limit: Some(limit),
            limit_remaining: u32::from(!over),
            duration_until_reset: Some(envoy_types::pb::google::protobuf::Duration { seconds: 42, nanos: 0 }),
            quota: None,
        }],
        response_headers_to_add: vec![header("x-told", "client")],
        request_headers_to_add: vec![header("x-told", "server")],
        raw_body: if over { b"too many".to_vec() } else { Vec::new() },
        ..limits::RateLimitResponse::default()
    }
}

#[test]
fn the_service_decides_and_both_sides_learn_what_it_says() {
    let service = Service::start(|asked| grpc_answer(&by_path(&asked.message())));
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    limited(
        &mut mesh,
        &app,
        &service,
        "enable_x_ratelimit_headers: DRAFT_VERSION_03, failure_mode_deny: true",
    );
    let gateway = mesh.gateway(8080).expect("accepted");
    let passed = gateway.get("/fine", "");
    assert_eq!(status(&passed), 200, "{passed}");
    assert!(
        body(&passed).contains("x-told: server") && passed.contains("\r\nx-told: client\r\n"),
        "{passed}"
    );
    assert!(passed.contains("\r\nx-ratelimit-limit: 3, 3;w=60;name=\"few\"\r\n"), "{passed}");
    let refused = gateway.get("/over", "x-user: a\r\n");
    assert_eq!((status(&refused), body(&refused), app.served()), (429, "too many", 1));
    for line in
        ["x-envoy-ratelimited: true", "x-told: client", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 42"]
    {
        assert!(refused.contains(&format!("\r\n{line}\r\n")), "{refused}");
    }
    assert_eq!(status(&gateway.get("/moved", "")), 301, "what is not forwarded is not counted");
    let asked = service.asked();
    let questions: Vec<limits::RateLimitRequest> = asked.iter().map(|each| each.message()).collect();
    let sent = |question: &limits::RateLimitRequest| -> Vec<String> {
        let entries = question.descriptors.iter().flat_map(|descriptor| &descriptor.entries);
        entries.map(|entry| format!("{}={}", entry.key, entry.value)).collect()
    };
    let guest = ["PATH=/fine", "masked_remote_address=127.0.0.0/8", "header_match=guest"];
    assert_eq!((questions.len(), questions[0].domain.as_str()), (2, "shop-ratelimit"));
    assert_eq!(
        (sent(&questions[0]), sent(&questions[1])),
        (guest.map(str::to_owned).to_vec(), vec!["PATH=/over".to_owned()])
    );
    assert_eq!(
        (asked[0].path.as_str(), asked[0].host.as_str()),
        (METHOD, "ratelimit.default.svc.cluster.local")
    );
    log.wait_for_lines(3);
    assert!(log.lines()[1].contains(" 429 RL request_rate_limited "), "{:?}", log.lines());
    let counted = |name: &str| {
        let port = app.address.port();
        gateway.stat(&format!("cluster.outbound|{port}||web.shop.svc.cluster.local.ratelimit.{name}"))
    };
    assert_eq!((counted("ok"), counted("over_limit"), counted("error")), (1, 1, 0));
}

#[test]
fn routes_are_counted_by_rules_of_their_own_or_by_none() {
    let service = Service::start(|asked| grpc_answer(&by_path(&asked.message())));
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    limited(&mut mesh, &app, &service, "request_type: external");
    let patch = |name: &str, fields: &str| {
        format!(
            "{{applyTo: HTTP_ROUTE, match: {{context: GATEWAY, routeConfiguration: {{vhost: {{route: {{name: {name}}}}}}}}}, patch: \
             {{operation: MERGE, value: {{typed_per_filter_config: {{envoy.filters.http.ratelimit: {{'@type': \
             type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute, {fields}}}}}}}}}}}"
        )
    };
    mesh.put::<EnvoyFilter>(&format!(
        "{{metadata: {{name: routes, namespace: istio-system}}, spec: {{configPatches: [{}, {}]}}}}",
        patch("free", "vh_rate_limits: IGNORE"),
        patch(
            "own",
            "domain: other, rate_limits: [{hits_addend: {number: 5}, limit: {rate_limit: {requests_per_unit: 9, unit: HOUR}}, \
             actions: [{query_parameters: {query_parameter_name: q, descriptor_key: Q}}, {source_cluster: {}}]}]"
        )
    ));
    let gateway = mesh.gateway(8080).expect("accepted");
    for path in ["/free", "/own?q=over", "/own"] {
        assert_eq!(status(&gateway.get(path, "")), 200, "{path}");
    }
    let asked = service.asked();
    let [only] = asked.as_slice() else { panic!("asked once: {asked:?}") };
    let question: limits::RateLimitRequest = only.message();
    let descriptor = &question.descriptors[0];
    assert_eq!((question.domain.as_str(), descriptor.entries[0].value.as_str()), ("other", "over"));
    assert_eq!(descriptor.entries[1].key, "source_cluster");
    assert_eq!(descriptor.hits_addend.as_ref().map(|hits| hits.value), Some(5));
    assert_eq!(descriptor.limit.as_ref().map(|limit| limit.requests_per_unit), Some(9));
}

#[test]
fn a_service_that_fails_lets_all_pass_or_none() {
    for (deny, code, flag) in
        [("true", 500, "500 RLSE rate_limiter_error"), ("false", 200, "200 - via_upstream")]
    {
        let service = Service::start(|_| crate::service::answer(503, &[], ""));
        let app = App::start();
        let mut mesh = Mesh::new(&app);
        let (_folder, log) = mesh.log_to_file();
        limited(&mut mesh, &app, &service, &format!("failure_mode_deny: {deny}"));
        let gateway = mesh.gateway(8080).expect("accepted");
        assert_eq!(status(&gateway.get("/", "")), code);
        log.wait_for_lines(1);
        assert!(log.lines()[0].contains(flag), "{:?}", log.lines());
        let port = app.address.port();
        let counted = |name: &str| {
            gateway.stat(&format!("cluster.outbound|{port}||web.shop.svc.cluster.local.ratelimit.{name}"))
        };
        assert_eq!((counted("error"), counted("failure_mode_allowed")), (1, u64::from(code == 200)));
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let refused = |more: &str| {
        let (app, service) = (App::start(), Service::start(|_| crate::service::answer(200, &[], "")));
        let mut mesh = Mesh::new(&app);
        limited(&mut mesh, &app, &service, more);
        mesh.gateway(8080).err().expect("refused")
    };
    assert!(refused("request_type: inner").contains("request_type: \"inner\" is none of"));
    let staged = refused("rate_limits: [{stage: 1, actions: [{remote_address: {}}]}]");
    assert!(staged.contains("rate_limits[0].stage"), "{staged}");
    let done = refused("rate_limits: [{apply_on_stream_done: true, actions: [{remote_address: {}}]}]");
    assert!(done.contains("apply_on_stream_done"), "{done}");
}
