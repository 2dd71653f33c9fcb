//! Access logs and metrics, as the mesh configuration and Telemetry ask for them.

use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::telemetry::Telemetry;
use serde_json::{Value, json};

use crate::mesh::{App, LogFile, Mesh, status};

fn telemetry(name: &str, namespace: &str, spec: &str) -> String {
    format!("{{metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}")
}

#[test]
fn the_default_line_is_istios() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    let headers = "x-request-id: 7\r\nuser-agent: curl/8\r\nx-forwarded-for: 10.0.0.1\r\n";
    assert_eq!(status(&sidecar.get("/a?b=c", headers)), 200);
    let line = log.wait_for_line();
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let port = app.address.port();
    let [
        time,
        method,
        path,
        protocol,
        code,
        flags,
        details,
        ended,
        reason,
        received,
        sent,
        took,
        upstream_took,
        rest @ ..,
    ] = words.as_slice()
    else {
        panic!("{line}")
    };
    assert!(time.len() == 26 && time.starts_with("[20") && time.ends_with("Z]"), "{line}");
    assert_eq!([*method, *path, *protocol], ["\"GET", "/a?b=c", "HTTP/1.1\""]);
    assert_eq!(
        [*code, *flags, *details, *ended, *reason, *received],
        ["200", "-", "via_upstream", "-", "\"-\"", "0"]
    );
    assert!(sent.parse::<u64>().is_ok_and(|sent| sent > 0) && took.parse::<u64>().is_ok(), "{line}");
    assert!(upstream_took.parse::<u64>().is_ok(), "{line}");
    let [forwarded, agent, id, host, upstream, cluster, upstream_local, local, remote, server_name, route] =
        rest
    else {
        panic!("{line}")
    };
    assert_eq!([*forwarded, *agent, *id, *host], ["\"10.0.0.1\"", "\"curl/8\"", "\"7\"", "\"web.shop\""]);
    assert_eq!(*upstream, format!("\"127.0.0.1:{port}\""));
    assert_eq!(*cluster, format!("inbound|{port}||"));
    assert!(upstream_local.starts_with("127.0.0.1:") && *remote == "10.0.0.1:0", "{line}");
    assert_eq!([*local, *server_name, *route], [&format!("127.0.0.2:{port}"), "-", "default"]);
}

#[test]
fn lines_in_json_have_istios_fields() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogEncoding": "JSON"}));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    sidecar.get("/a", "");
    let line: Value = serde_json::from_str(&log.wait_for_line()).expect("JSON");
    assert_eq!(line.as_object().map(serde_json::Map::len), Some(24), "{line}");
    assert_eq!(
        (&line["response_code"], &line["path"], &line["method"]),
        (&json!(200), &json!("/a"), &json!("GET"))
    );
    assert_eq!((&line["bytes_received"], &line["requested_server_name"]), (&json!(0), &Value::Null));
}

#[test]
fn telemetry_says_which_requests_are_logged_and_where() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (folder, log) = mesh.log_to_file();
    let own = LogFile(folder.path().join("own.log"));
    mesh.configure(json!({"accessLogFormat": "%REQ(:PATH)%", "extensionProviders": [
        {"name": "own", "envoyFileAccessLog": {"path": own.0, "logFormat": {"labels": {"p": "%REQ(:PATH)%"}}}},
    ]}));
    let entry = "accessLogging: [{filter: {expression: \"request.url_path.startsWith('/log') && connection.mtls == false\"}}]";
    mesh.put::<Telemetry>(&telemetry("default", "istio-system", entry));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    for path in ["/quiet", "/logged", "/quiet"] {
        sidecar.get(path, "");
    }
    log.wait_for("/logged\n");
    drop(sidecar);
    let entry = "selector: {matchLabels: {app: web}}, accessLogging: [{providers: [{name: own}], match: {mode: SERVER}}]";
    mesh.put::<Telemetry>(&telemetry("own", "shop", entry));
    mesh.sidecar_in(&app).expect("accepted").get("/mine", "");
    own.wait_for("{\"p\":\"/mine\"}\n");
    mesh.sidecar_out(&app).expect("accepted").get("/log-of-client", "");
    log.wait_for("/logged\n/log-of-client\n");
    mesh.put::<Telemetry>(&telemetry(
        "own",
        "shop",
        "selector: {matchLabels: {app: web}}, accessLogging: [{disabled: true}]",
    ));
    mesh.sidecar_in(&app).expect("accepted").get("/log-nothing", "");
    log.wait_for("/logged\n/log-of-client\n");
}

#[test]
fn a_function_that_is_not_understood_is_refused_by_name_and_an_attribute_has_no_value() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogFormat": "%REQ(:PATH)%"}));
    let filter = |text: &str| {
        telemetry(
            "default",
            "istio-system",
            &format!("accessLogging: [{{filter: {{expression: \"{text}\"}}}}]"),
        )
    };
    mesh.put::<Telemetry>(&filter("timestamp('x') == 1"));
    let refused = mesh.sidecar_in(&app).err().expect("refused");
    assert!(refused.contains("timestamp() is not a supported function"), "{refused}");
    mesh.put::<Telemetry>(&filter("wasm.x == 1 || request.url_path.startsWith('/log')"));
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    for path in ["/quiet", "/logged", "/quiet"] {
        sidecar.get(path, "");
    }
    log.wait_for("/logged\n");
}

/// The lines of a metric.
fn lines<'t>(text: &'t str, metric: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).collect()
}

#[test]
fn both_reporters_have_istios_labels_and_overrides_change_them() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let host = "web.shop.svc.cluster.local";
    let client = mesh.sidecar_out(&app).expect("accepted");
    client.get("/", "");
    let text = client.prometheus();
    let found = lines(&text, "istio_requests_total");
    for label in [
        "reporter=\"source\"",
        "source_workload=\"web\"",
        "source_workload_namespace=\"shop\"",
        "source_principal=\"unknown\"",
        "source_app=\"web\"",
        "source_version=\"v1\"",
        "source_cluster=\"Kubernetes\"",
        "source_canonical_service=\"web\"",
        "source_canonical_revision=\"v1\"",
        &format!("destination_service=\"{host}\""),
        "destination_service_name=\"web\"",
        "destination_service_namespace=\"shop\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "grpc_response_status=\"\"",
        "response_flags=\"-\"",
        "connection_security_policy=\"unknown\"",
    ] {
        assert!(
            found.len() == 1 && found[0].contains(label) && found[0].ends_with("} 1"),
            "{label}: {found:?}"
        );
    }
    assert!(
        text.contains("istio_request_duration_milliseconds_bucket{")
            && text.contains("istio_response_bytes_sum{")
    );
    drop(client);
    mesh.put::<Telemetry>(&telemetry(
        "default",
        "istio-system",
        "metrics: [{providers: [{name: prometheus}], overrides: [\
         {match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {request_host: {value: request.host}, odd: {value: nope(request.host)}, \
          response_code: {operation: REMOVE}, source_app: {operation: UPSERT, value: \"'fixed'\"}}}, \
         {match: {metric: REQUEST_SIZE}, disabled: true}]}]",
    ));
    let server = mesh.sidecar_in(&app).expect("accepted");
    server.get("/", "");
    server.get("/", "");
    let text = server.prometheus();
    let found = lines(&text, "istio_requests_total");
    assert!(found.len() == 1 && found[0].ends_with("} 2"), "{found:?}");
    for label in [
        "reporter=\"destination\"",
        "connection_security_policy=\"none\"",
        "request_host=\"web.shop\"",
        "odd=\"unknown\"",
        "source_app=\"fixed\"",
    ] {
        assert!(found[0].contains(label), "{label}: {found:?}");
    }
    assert!(!found[0].contains("response_code="), "{found:?}");
    assert!(!text.contains("istio_request_bytes") && text.contains("istio_response_bytes_count{"), "{text}");
    assert!(lines(&text, "istio_response_bytes_count")[0].contains("response_code=\"200\""));
}

const OPERATIONS: &str = "attributes: [{output_attribute: istio_operationId, match: [\
    {value: ListReviews, condition: \"request.url_path == '/reviews' && request.method == 'GET'\"}, \
    {value: GetReview, condition: \"request.url_path.matches('^/reviews/[[:alnum:]]*$') && request.method == 'GET'\"}]}, \
    {output_attribute: istio_responseClass, match: [{value: 2xx, condition: response.code >= 200 && response.code <= 299}, \
    {value: '404', condition: response.code == 404}]}]";

/// Telemetry with labels from attributes that are made, in the root namespace.
fn classified(mesh: &mut Mesh) {
    mesh.put::<Telemetry>(&telemetry(
        "custom-tags",
        "istio-system",
        "metrics: [{overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT_AND_SERVER}, tagOverrides: {\
         request_operation: {value: \"filter_state['wasm.istio_operationId']\"}, \
         response_code: {value: \"filter_state['wasm.istio_responseClass']\"}}}], providers: [{name: prometheus}]}]",
    ));
}

fn operations(mesh: &Mesh, app: &App) -> Vec<(String, u64)> {
    let proxy = mesh.sidecar_in(app).expect("accepted");
    for path in ["/reviews", "/reviews", "/reviews/7?a=b", "/other"] {
        assert_eq!(status(&proxy.get(path, "")), 200);
    }
    let text = proxy.prometheus();
    let mut found = Vec::new();
    for line in lines(&text, "istio_requests_total") {
        assert!(line.contains("response_code=\"2xx\""), "{line}");
        let name = line.split_once("request_operation=\"").expect(line).1.split('"').next().expect(line);
        found.push((name.to_owned(), line.rsplit(' ').next().expect(line).parse().expect(line)));
    }
    found.sort();
    found
}

#[test]
fn requests_are_classified_by_istios_extension() {
    let expected = [("GetReview".to_owned(), 1), ("ListReviews".to_owned(), 2), ("unknown".to_owned(), 1)];
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    classified(&mut mesh);
    mesh.put::<WasmPlugin>(&format!(
        "{{metadata: {{name: istio-attributegen-filter, namespace: istio-system}}, spec: {{selector: {{matchLabels: {{app: web}}}}, \
         url: 'https://storage.googleapis.com/istio-build/proxy/attributegen-359dcd3a19f109c50e97517fe6b1e2676e870c4d.wasm', \
         imagePullPolicy: Always, phase: AUTHN, pluginConfig: {{{OPERATIONS}}}}}}}"
    ));
    assert_eq!(operations(&mesh, &app), expected);

    // The older form: the filter itself, with the configuration as text.
    let config = serde_yaml::from_str::<Value>(&format!("{{{OPERATIONS}}}")).expect("a configuration");
    let mut mesh = Mesh::new(&app);
    classified(&mut mesh);
    mesh.put::<EnvoyFilter>(&format!(
        "{{metadata: {{name: istio-attributegen-filter, namespace: shop}}, spec: {{workloadSelector: {{labels: {{app: web}}}}, configPatches: [\
         {{applyTo: HTTP_FILTER, match: {{context: SIDECAR_INBOUND, listener: {{filterChain: {{filter: {{name: \
         envoy.filters.network.http_connection_manager, subFilter: {{name: istio.stats}}}}}}}}}}, patch: {{operation: INSERT_BEFORE, value: \
         {{name: istio.attributegen, typed_config: {{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: \
         type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, value: {{config: {{configuration: {{'@type': \
         type.googleapis.com/google.protobuf.StringValue, value: {}}}, vm_config: {{runtime: envoy.wasm.runtime.null, code: {{local: \
         {{inline_string: envoy.wasm.attributegen}}}}}}}}}}}}}}}}}}]}}}}",
        json!(config.to_string())
    ));
    assert_eq!(operations(&mesh, &app), expected);
}
