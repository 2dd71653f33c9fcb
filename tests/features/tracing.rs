//! Traces: which requests are traced, what spans tell, how they join, and that collectors of every kind receive them.

use std::collections::BTreeMap;

use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::telemetry::Telemetry;
use sagene_api::trace::opentelemetry::{ExportTraceServiceRequest, ExportTraceServiceResponse, SpanKind};
use serde_json::{Value, json};

use crate::mesh::{App, Mesh, body, status};
use crate::service::{Asked, Service, answer, grpc_answer};

fn telemetry(spec: &str) -> String {
    format!("{{metadata: {{name: mesh-default, namespace: istio-system}}, spec: {{tracing: [{{{spec}}}]}}}}")
}

fn zipkin(mesh: &mut Mesh) -> Service {
    let collector = Service::start(|_| answer(202, &[], ""));
    mesh.add_service("zipkin", "istio-system", "http", collector.address);
    let port = collector.address.port();
    mesh.configure(json!({"extensionProviders": [
        {"name": "zipkin", "zipkin": {"service": "zipkin.istio-system.svc.cluster.local", "port": port}},
    ]}));
    collector
}

fn spans(asked: &[Asked]) -> Vec<Value> {
    let lists = asked.iter().filter_map(|one| serde_json::from_slice::<Vec<Value>>(&one.body).ok());
    lists.flatten().collect()
}

fn header<'t>(seen: &'t str, name: &str) -> &'t str {
    let line = seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.map_or("", str::trim_end)
}

#[test]
fn client_and_server_join_in_one_trace() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let collector = zipkin(&mut mesh);
    mesh.put::<Telemetry>(&telemetry(
        "providers: [{name: zipkin}], randomSamplingPercentage: 100, \
         customTags: {team: {literal: {value: blue}}, who: {header: {name: x-user, defaultValue: nobody}}}",
    ));
    let server = mesh.sidecar_in(&app).expect("accepted");
    let client = mesh.sidecar_out_to(&app, server.address).expect("accepted");
    let seen = client.get("/reviews/1?full=1", "user-agent: curl/8\r\n");
    assert_eq!(status(&seen), 200, "{seen}");
    // The application is told, so that what it calls joins, too.
    let told = body(&seen);
    let trace = header(told, "x-b3-traceid").to_owned();
    assert_eq!((trace.len(), header(told, "x-b3-sampled")), (32, "1"), "{told}");
    assert_eq!(header(told, "x-request-id").as_bytes().get(14), Some(&b'9'), "the request id says so");
    let both = collector.wait(|asked| {
        let found = spans(asked);
        let by_kind: BTreeMap<String, Value> = found
            .into_iter()
            .map(|span| (span["kind"].as_str().unwrap_or_default().to_owned(), span))
            .collect();
        (by_kind.len() == 2).then_some(by_kind)
    });
    let (asking, answering) = (&both["CLIENT"], &both["SERVER"]);
    assert_eq!([&asking["traceId"], &answering["traceId"]], [&trace, &trace]);
    assert_eq!(answering["parentId"], asking["id"], "the server's span hangs on the client's");
    assert_eq!(answering["id"], header(told, "x-b3-spanid"));
    assert_eq!(asking["localEndpoint"]["serviceName"], "web.shop");
    let port = app.address.port();
    let operation = format!("web.shop.svc.cluster.local:{port}/*");
    assert_eq!([&asking["name"], &answering["name"]], [&operation, &operation]);
    let tags = &asking["tags"];
    let expected = json!({
        "http.method": "GET", "http.url": "http://web.shop/reviews/1?full=1", "http.status_code": "200", "http.protocol": "HTTP/1.1",
        "component": "proxy", "user_agent": "curl/8", "response_flags": "-", "request_size": "0", "peer.address": "127.0.0.1",
        "upstream_cluster": format!("outbound|{port}||web.shop.svc.cluster.local"), "downstream_cluster": "-",
        "istio.canonical_service": "web", "istio.canonical_revision": "v1", "istio.mesh_id": "unknown", "team": "blue", "who": "nobody",
    });
    for (name, value) in expected.as_object().expect("tags") {
        assert_eq!(&tags[name], value, "{name} in {tags}");
    }
    assert!(tags["node_id"].as_str().is_some_and(|id| id.starts_with("sidecar~")), "{tags}");
    assert_eq!(tags["guid:x-request-id"], header(told, "x-request-id"));
}

#[test]
fn the_access_log_names_the_trace() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let _collector = zipkin(&mut mesh);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogFormat":
        "%TRACE_ID% %SPAN_ID% %REQ(X-B3-SPANID)% %RESPONSE_DURATION% %UPSTREAM_REMOTE_PORT% %REQUEST_HEADERS_BYTES%\n"}));
    mesh.put::<Telemetry>(&telemetry("providers: [{name: zipkin}], randomSamplingPercentage: 100"));
    let client = mesh.sidecar_out(&app).expect("accepted");
    let seen = client.get("/", "");
    let line = log.wait_for_line();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.len(), 6, "{line}");
    assert_eq!(words[0], header(body(&seen), "x-b3-traceid"), "{line}");
    assert_eq!([words[1], words[1]], [words[2], header(body(&seen), "x-b3-spanid")], "{line}");
    assert!(words[3].parse::<u32>().is_ok() && words[5].parse::<u32>().is_ok(), "{line}");
    assert_eq!(words[4], app.address.port().to_string(), "{line}");
}

#[test]
fn a_caller_that_decided_is_followed() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let collector = zipkin(&mut mesh);
    mesh.put::<Telemetry>(&telemetry("providers: [{name: zipkin}], randomSamplingPercentage: 0"));
    let client = mesh.sidecar_out(&app).expect("accepted");
    let untraced = client.get("/no", "");
    assert_eq!(header(body(&untraced), "x-b3-sampled"), "0", "told all the same");
    let trace = "463ac35c9f6413ad48485a3953bb6124";
    let traced = client.get("/yes", &format!("b3: {trace}-a2fb4a1d1a96d312-1\r\n"));
    assert!(header(body(&traced), "b3").starts_with(trace), "{traced}");
    let off = client.get(
        "/off",
        &format!("x-b3-traceid: {trace}\r\nx-b3-spanid: a2fb4a1d1a96d312\r\nx-b3-sampled: 0\r\n"),
    );
    assert_eq!(header(body(&off), "x-b3-parentspanid"), "a2fb4a1d1a96d312");
    let asked = client.get("/asked", "x-client-trace-id: mine\r\n");
    assert_eq!(header(body(&asked), "x-request-id").as_bytes().get(14), Some(&b'b'));
    // Only the mesh itself may say this, and no address counts as its own here.
    let forced = client.get("/forced", "x-envoy-force-trace: 1\r\n");
    assert_eq!(header(body(&forced), "x-request-id").as_bytes().get(14), Some(&b'4'));
    let found = collector.wait(|asked| Some(spans(asked)).filter(|found| found.len() >= 2));
    let urls: Vec<&str> = found.iter().filter_map(|span| span["tags"]["http.url"].as_str()).collect();
    assert_eq!(urls, ["http://web.shop/yes", "http://web.shop/asked"]);
    assert_eq!((&found[0]["traceId"], &found[0]["parentId"]), (&json!(trace), &json!("a2fb4a1d1a96d312")));
}

#[test]
fn opentelemetry_receives_spans_by_grpc_and_by_http() {
    for over_http in [false, true] {
        let app = App::start();
        let mut mesh = Mesh::new(&app);
        let collector = Service::start(|_| grpc_answer(&ExportTraceServiceResponse {}));
        mesh.add_service("otel", "observability", if over_http { "http" } else { "grpc" }, collector.address);
        let service = "otel.observability.svc.cluster.local";
        let mut provider = json!({"service": service, "port": collector.address.port()});
        if over_http {
            provider["http"] = json!({"path": "/v1/traces", "headers": [{"name": "x-token", "value": "t"}]});
        }
        mesh.configure(json!({"extensionProviders": [{"name": "otel", "opentelemetry": provider}]}));
        mesh.put::<Telemetry>(&telemetry("providers: [{name: otel}], randomSamplingPercentage: 100"));
        let client = mesh.sidecar_out(&app).expect("accepted");
        let parent = "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01";
        let seen = client.get("/a", &format!("traceparent: {parent}\r\ntracestate: a=b\r\n"));
        let told = header(body(&seen), "traceparent").to_owned();
        assert!(told.starts_with("00-463ac35c9f6413ad48485a3953bb6124-") && told.ends_with("-01"), "{seen}");
        assert!(told != parent && header(body(&seen), "tracestate") == "a=b", "{seen}");
        let report = collector.wait(|asked| asked.first().cloned());
        let sent: ExportTraceServiceRequest = if over_http {
            assert_eq!((report.path.as_str(), report.header("x-token")), ("/v1/traces", "t"));
            assert_eq!(report.header("content-type"), "application/x-protobuf");
            prost::Message::decode(report.body.clone()).expect("a report")
        } else {
            assert_eq!(report.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            report.message()
        };
        let of_resource = &sent.resource_spans[0];
        let attributes = &of_resource.resource.as_ref().expect("a resource").attributes;
        let named =
            attributes.iter().find(|each| each.key == "service.name").and_then(|each| each.value.as_ref());
        assert_eq!(named.and_then(|value| value.in_words()).as_deref(), Some("web.shop"));
        let span = &of_resource.scope_spans[0].spans[0];
        assert_eq!((span.kind(), span.trace_state.as_str()), (SpanKind::Client, "a=b"));
        assert_eq!(span.parent_span_id, 0xa2fb_4a1d_1a96_d312_u64.to_be_bytes());
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
}

#[test]
fn a_collector_that_is_gone_costs_nothing_but_its_spans() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    mesh.configure(json!({"extensionProviders": [
        {"name": "zipkin", "zipkin": {"service": "zipkin.istio-system.svc.cluster.local", "port": 9411}},
    ]}));
    mesh.put::<Telemetry>(&telemetry("providers: [{name: zipkin}], randomSamplingPercentage: 100"));
    let client = mesh.sidecar_out(&app).expect("accepted");
    for _ in 0..50 {
        assert_eq!(status(&client.get("/", "")), 200);
    }
    let counted = || (client.stat("tracing.zipkin.reports_skipped_no_cluster") > 0).then_some(());
    assert!(crate::wait::until(counted).is_some(), "the failure is not counted");
}

#[test]
fn what_a_dry_run_says_is_on_the_servers_span() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let collector = zipkin(&mut mesh);
    mesh.put::<Telemetry>(&telemetry("providers: [{name: zipkin}], randomSamplingPercentage: 100"));
    mesh.put::<AuthorizationPolicy>(
        "{metadata: {name: no-secrets, namespace: shop, annotations: {istio.io/dry-run: 'true'}}, \
          spec: {action: DENY, rules: [{to: [{operation: {paths: [/secret]}}]}]}}",
    );
    let server = mesh.sidecar_in(&app).expect("accepted");
    for path in ["/open", "/secret"] {
        let seen = server.get(path, "");
        assert_eq!(status(&seen), 200, "{seen}");
    }
    let by_path = collector.wait(|asked| {
        let found = spans(asked).into_iter().filter(|span| span["kind"] == "SERVER");
        let by_path: BTreeMap<String, Value> = found
            .map(|span| {
                let url = span["tags"]["http.url"].as_str().unwrap_or_default();
                (url.rsplit('/').next().unwrap_or_default().to_owned(), span["tags"].clone())
            })
            .collect();
        (by_path.len() == 2).then_some(by_path)
    });
    let said = |path: &str, what: &str| {
        by_path[path][format!("istio.authorization.dry_run.deny_policy.{what}")].clone()
    };
    assert_eq!([said("secret", "result"), said("open", "result")], ["denied", "allowed"]);
    assert_eq!(said("secret", "name"), "ns[shop]-policy[no-secrets]-rule[0]");
    assert_eq!(said("open", "name"), Value::Null);
}
