//! Compression by the EnvoyFilter that people copy, and filters that routes say something about.

use sagene_api::istio::networking::EnvoyFilter;

use crate::envoy_filter::{filter, gateway, in_front_of_the_router};
use crate::mesh::{App, Mesh, body, status};

const COMPRESSOR: &str = "{'@type': type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor, \
    response_direction_config: {common_config: {min_content_length: 100, content_type: [application/json, text/html]}}, \
    request_direction_config: {common_config: {enabled: {default_value: false, runtime_key: request_compressor_enabled}}}, \
    compressor_library: {name: text_optimized, typed_config: {'@type': \
    type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip, memory_level: 3, window_bits: 10, \
    compression_level: BEST_COMPRESSION, compression_strategy: DEFAULT_STRATEGY}}}";

/// Merges configuration of filters into every route of the gateway.
fn per_route(name: &str, configs: &str) -> String {
    filter(
        name,
        &format!(
            "{{applyTo: HTTP_ROUTE, match: {{context: GATEWAY}}, patch: {{operation: MERGE, value: {{typed_per_filter_config: \
             {{{configs}}}}}}}}}"
        ),
    )
}

#[test]
fn answers_are_compressed_for_those_who_take_it() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&in_front_of_the_router("compressor", COMPRESSOR));
    let proxy = mesh.gateway(8080).expect("accepted");
    let packed = proxy.get("/", "accept-encoding: br;q=0.1, gzip\r\n");
    assert_eq!(status(&packed), 200, "{packed}");
    assert!(
        packed.contains("\r\ncontent-encoding: gzip\r\n") && packed.contains("\r\nvary: Accept-Encoding\r\n")
    );
    assert!(!packed.contains("\r\ncontent-length:"), "{packed}");
    for accept in ["", "accept-encoding: br\r\n", "accept-encoding: gzip;q=0\r\n"] {
        let plain = proxy.get("/", accept);
        assert!(body(&plain).starts_with("GET / HTTP/1.1\r\n"), "{plain}");
        assert!(
            plain.contains("\r\nvary: Accept-Encoding\r\n") && plain.contains("\r\ncontent-length:"),
            "{plain}"
        );
    }
    let text = proxy.prometheus();
    assert!(
        text.contains("_text_optimized_gzip_") || proxy_stat(&proxy, "response.compressed") == 1,
        "{text}"
    );
    drop(proxy);
    mesh.put::<EnvoyFilter>(&per_route(
        "not-here",
        "envoy.filters.http.compressor: {'@type': \
         type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute, disabled: true}",
    ));
    let left = mesh.gateway(8080).expect("accepted").get("/", "accept-encoding: gzip\r\n");
    assert!(body(&left).starts_with("GET / HTTP/1.1\r\n") && !left.contains("\r\nvary:"), "{left}");
}

fn proxy_stat(proxy: &crate::mesh::Running, name: &str) -> u64 {
    proxy.stat(&format!("http.outbound_0.0.0.0_8080.compressor.text_optimized.gzip.{name}"))
}

#[test]
fn libraries_that_the_proxy_does_not_have_are_refused_by_name() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    mesh.put::<EnvoyFilter>(&in_front_of_the_router(
        "compressor",
        "{'@type': type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor, compressor_library: {name: b, typed_config: \
         {'@type': type.googleapis.com/envoy.extensions.compression.brotli.compressor.v3.Brotli}}}",
    ));
    let refused = mesh.gateway(8080).err().expect("refused");
    assert!(
        refused.contains("compressor_library.typed_config") && refused.contains("Brotli is not supported"),
        "{refused}"
    );
}

#[test]
fn routes_change_headers_beside_the_filter() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    let mutation = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
    mesh.put::<EnvoyFilter>(&in_front_of_the_router(
        "header_mutation",
        &format!("{{'@type': {mutation}, mutations: {{response_mutations: [{{append: {{header: {{key: x-from, value: filter}}}}}}]}}}}"),
    ));
    mesh.put::<EnvoyFilter>(&per_route(
        "more",
        &format!(
            "envoy.filters.http.header_mutation: {{'@type': {mutation}PerRoute, mutations: {{request_mutations: [{{append: {{header: \
             {{key: x-to, value: app}}}}}}], response_mutations: [{{append: {{header: {{key: x-from, value: route}}}}}}]}}}}"
        ),
    ));
    let answer = mesh.gateway(8080).expect("accepted").get("/", "");
    let from: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("x-from: ")).collect();
    assert_eq!(from, ["filter", "route"], "{answer}");
    assert!(body(&answer).contains("x-to: app\r\n"), "{answer}");
}
