//! The collector: spans handed over in each form join in one trace.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use prost::Message;
use sagene_api::trace::opentelemetry as otlp;
use sagene_api::trace::zipkin::Span;

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";

fn talk(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    let length = body.len();
    let head = format!("{head}host: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(&[head.as_bytes(), body].concat()).expect("write");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn spans_of_every_form_join() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bind");
    let address = listener.local_addr().expect("address");
    runtime.spawn(sagene_console::traces::serve(vec![listener], std::future::pending()));
    let zipkin = format!(
        r#"[{{"traceId":"{TRACE}","id":"00000000000000aa","kind":"CLIENT","name":"a","timestamp":1,"duration":9,
            "localEndpoint":{{"serviceName":"web.shop"}}}}]"#
    );
    let json = "POST /api/v2/spans HTTP/1.1\r\ncontent-type: application/json\r\n";
    assert_eq!(status(&talk(address, json, zipkin.as_bytes())), "202");
    let span = otlp::Span {
        trace_id: u128::from_str_radix(TRACE, 16).expect("hex").to_be_bytes().to_vec(),
        span_id: 0xbb_u64.to_be_bytes().to_vec(),
        parent_span_id: 0xaa_u64.to_be_bytes().to_vec(),
        name: "b".to_owned(),
        kind: otlp::SpanKind::Server as i32,
        start_time_unix_nano: 2000,
        end_time_unix_nano: 5000,
        ..otlp::Span::default()
    };
    let resource = otlp::Resource { attributes: vec![otlp::KeyValue::text("service.name", "cart.shop")] };
    let report = otlp::ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![otlp::ScopeSpans { scope: None, spans: vec![span] }],
        }],
    };
    let protobuf = "POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf\r\n";
    assert_eq!(status(&talk(address, protobuf, &report.encode_to_vec())), "200");
    assert_eq!(status(&talk(address, protobuf, b"\xff\xff")), "400");
    let found = talk(address, &format!("GET /api/v2/trace/{TRACE} HTTP/1.1\r\n"), b"");
    let spans: Vec<Span> =
        serde_json::from_str(found.split_once("\r\n\r\n").map_or("", |(_, body)| body)).expect("spans");
    let ids: Vec<_> = spans.iter().map(|span| (span.id.as_str(), span.parent_id.as_deref())).collect();
    assert_eq!(ids, [("00000000000000aa", None), ("00000000000000bb", Some("00000000000000aa"))]);
    let listed = talk(address, "GET /kiali/api/traces/?limit=5 HTTP/1.1\r\n", b"");
    assert!(listed.contains(TRACE), "{listed}");
    let services = talk(address, "GET /api/v2/services HTTP/1.1\r\n", b"");
    assert!(services.ends_with(r#"["cart.shop","web.shop"]"#), "{services}");
    let get = |path: &str| talk(address, &format!("GET {path} HTTP/1.1\r\n"), b"");
    for base in ["/api", "/jaeger/api"] {
        let found = get(&format!("{base}/traces?service=cart.shop&tags=%7B%7D"));
        assert!(found.contains(r#""operationName":"b","processID":"p1""#), "{found}");
        assert!(found.contains(r#""refType":"CHILD_OF","spanID":"00000000000000aa""#), "{found}");
    }
    assert!(get("/api/traces?service=cart.shop&operation=none").contains(r#""data":[]"#));
    assert!(get("/api/services/web.shop/operations").contains(r#""data":["a"]"#));
    assert_eq!(status(&get("/api/traces")), "400");
    assert_eq!(status(&get("/api/traces/1")), "404");
    assert!(talk(address, "GET /kiali/traces HTTP/1.1\r\n", b"").contains("assets/traces.js"));
}
