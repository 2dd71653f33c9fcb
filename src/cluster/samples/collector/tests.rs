//! Reports over a real connection, and configurations.

use std::sync::Arc;

use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue};
use prost::Message;
use sagene_api::trace::opentelemetry_logs::{
    EXPORT_PATH, ExportLogsServiceRequest, LogRecord, ResourceLogs, ScopeLogs,
};
use tokio::io::AsyncWriteExt;

use super::config::{Config, Exporter, Verbosity};
use super::print::Printed;
use super::receive;

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

fn report() -> ExportLogsServiceRequest {
    let attribute = KeyValue { key: "flags".to_owned(), value: Some(text("UH")), ..KeyValue::default() };
    let record = LogRecord {
        time_unix_nano: 1_606_339_578_409_000_000,
        body: Some(text("GET / 503\n")),
        attributes: vec![attribute],
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource: None, scope_logs: vec![scope] }] }
}

#[test]
fn configurations_are_read_and_what_is_not_served_is_named() {
    let config = Config::parse(
        "{receivers: {otlp: {protocols: {grpc: , http: {endpoint: '0.0.0.0:1'}}}}, processors: {batch: },
          exporters: {logging: {loglevel: debug}, otlp/jaeger: {endpoint: 'jaeger:4317', tls: {insecure: true}}, file: {}},
          extensions: {health_check: }, service: {extensions: [health_check], pipelines: {
          logs: {receivers: [otlp], processors: [batch], exporters: [logging]},
          traces: {receivers: [otlp], exporters: [logging, otlp/jaeger]}}}}",
    )
    .expect("parses");
    assert_eq!((config.grpc.as_deref(), config.http.as_deref()), (Some("0.0.0.0:4317"), Some("0.0.0.0:1")));
    assert_eq!(config.health_check.as_deref(), Some(""));
    let debug = Exporter::Debug { name: "logging".to_owned(), verbosity: Verbosity::Detailed };
    assert_eq!(config.logs.as_slice(), std::slice::from_ref(&debug));
    assert_eq!(config.traces, [debug, Exporter::Otlp { url: "http://jaeger:4317".to_owned() }]);
    let wrong = |pipeline: &str| {
        Config::parse(&format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, service: {{pipelines: {{logs: {pipeline}}}}}}}"
        ))
        .expect_err("refused")
    };
    assert!(wrong("{receivers: [zipkin]}").contains("it knows otlp"));
    assert!(wrong("{receivers: [otlp], processors: [filter/a]}").contains("processors: filter/a"));
    assert!(wrong("{receivers: [otlp], exporters: [loki]}").contains("it knows debug"));
}

#[test]
fn details_say_everything() {
    let details = report().details();
    for wanted in [
        "LogRecord #0\n",
        "Timestamp: 2020-11-25 21:26:18.409 +0000 UTC\n",
        "Body: Str(GET / 503\n)\n",
        "     -> flags: Str(UH)\n",
    ] {
        assert!(details.contains(wanted), "{wanted} in {details}");
    }
    assert_eq!(report().lines(), ["GET / 503 flags=UH"]);
}

#[tokio::test]
async fn a_collector_hands_reports_on_to_another() {
    let (taken, mut seen) = tokio::sync::mpsc::channel(1);
    let other = axum::Router::new().route(
        EXPORT_PATH,
        axum::routing::post(move |body: axum::body::Bytes| async move {
            let report = super::super::grpc::asked::<ExportLogsServiceRequest>(&body).expect("a report");
            taken.send(report).await.expect("somebody waits");
            super::super::grpc::unary(&ExportLogsServiceRequest::default())
        }),
    );
    // Whoever comes first installs it for all tests of this process.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let serve = async |routes: axum::Router| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, routes).into_future());
        address
    };
    let other = serve(other).await;
    let exporter = Exporter::Otlp { url: format!("http://{other}") };
    let config = Config { logs: vec![exporter], ..Config::default() };
    let collector = serve(receive::routes(Arc::new(config))).await;
    let body = report().encode_to_vec();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(collector).await.expect("a connection");
    stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("sent");
    let arrived = tokio::time::timeout(std::time::Duration::from_secs(30), seen.recv()).await;
    assert_eq!(arrived.expect("in time"), Some(report()));
}
