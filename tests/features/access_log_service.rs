//! Access logs that are sent: records to collectors of OpenTelemetry, entries to Envoy's own kind of service.

use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{StreamAccessLogsMessage, StreamAccessLogsResponse};
use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Kind;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue};
use sagene_api::istio::telemetry::Telemetry;
use sagene_api::trace::opentelemetry_logs::{
    EXPORT_PATH, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use serde_json::{Value, json};

use crate::mesh::{App, Mesh, status};
use crate::service::{Service, grpc_answer};

const TELEMETRY: &str = "{metadata: {name: default, namespace: istio-system}, spec: {accessLogging: [{providers: [{name: sent}]}]}}";

fn text(value: Option<&AnyValue>) -> &str {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Kind::StringValue(text)) => text,
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn collectors_of_opentelemetry_get_records() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let collector = Service::start(|_| grpc_answer(&ExportLogsServiceResponse {}));
    mesh.add_service("otel", "observability", "grpc", collector.address);
    mesh.configure(json!({"extensionProviders": [{"name": "sent", "envoyOtelAls": {
        "service": "otel.observability.svc.cluster.local", "port": collector.address.port(),
        "logFormat": {"text": "%REQ(:METHOD)% %REQ(:PATH)%", "labels": {"code": "%RESPONSE_CODE%", "in": {"flags": "%RESPONSE_FLAGS%"}}},
    }}]}));
    mesh.put::<Telemetry>(TELEMETRY);
    let client = mesh.sidecar_out(&app).expect("accepted");
    assert_eq!(status(&client.get("/a?b=c", "")), 200);
    let asked = collector.wait(|asked| asked.first().cloned());
    assert_eq!(
        (asked.path.as_str(), asked.host.as_str()),
        (EXPORT_PATH, "otel.observability.svc.cluster.local")
    );
    let report: ExportLogsServiceRequest = asked.message();
    let record = &report.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(text(record.body.as_ref()), "GET /a?b=c");
    let attribute = |name: &str| {
        let found = record.attributes.iter().find(|pair: &&KeyValue| pair.key == name);
        found.and_then(|pair| pair.value.as_ref())
    };
    assert_eq!(text(attribute("code")), "200");
    let Some(Kind::KvlistValue(nested)) = attribute("in").and_then(|value| value.value.as_ref()) else {
        panic!("{record:?}")
    };
    assert_eq!(text(nested.values[0].value.as_ref()), "-");
    assert!(record.time_unix_nano > 1_600_000_000_000_000_000);
}

/// What a service of this kind is told of one request.
fn told(kind: &str, more: Value) -> StreamAccessLogsMessage {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let service = Service::start(|_| grpc_answer(&StreamAccessLogsResponse {}));
    mesh.add_service("als", "observability", "grpc", service.address);
    let mut provider =
        json!({"service": "als.observability.svc.cluster.local", "port": service.address.port()});
    provider.as_object_mut().expect("a mapping").extend(more.as_object().cloned().unwrap_or_default());
    mesh.configure(json!({"extensionProviders": [{"name": "sent", kind: provider}]}));
    mesh.put::<Telemetry>(TELEMETRY);
    let sidecar = mesh.sidecar_in(&app).expect("accepted");
    assert_eq!(status(&sidecar.get("/a", "x-user: alice\r\nuser-agent: curl/8\r\n")), 200);
    let asked = service.wait(|asked| asked.first().cloned());
    assert_eq!(asked.path, "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs");
    asked.message()
}

#[test]
fn services_of_envoys_own_kind_get_entries() {
    let message =
        told("envoyHttpAls", json!({"logName": "requests", "additionalRequestHeadersToLog": ["X-User"]}));
    let identifier = message.identifier.expect("who sends");
    assert_eq!(identifier.log_name, "requests");
    assert!(identifier.node.expect("a node").id.starts_with("sidecar~"));
    let Some(LogEntries::HttpLogs(entries)) = message.log_entries else { panic!("no requests") };
    let HttpAccessLogEntry { request, response, common_properties, .. } = entries.log_entry[0].clone();
    let (request, response) = (request.expect("a request"), response.expect("a response"));
    assert_eq!((request.path.as_str(), request.user_agent.as_str()), ("/a", "curl/8"));
    assert_eq!(request.request_headers["x-user"], "alice");
    assert_eq!(response.response_code.map(|code| code.value), Some(200));
    assert_eq!(response.response_code_details, "via_upstream");
    assert!(common_properties.is_some_and(|common| common.upstream_cluster.starts_with("inbound|")));

    let message = told("envoyTcpAls", json!({}));
    assert_eq!(message.identifier.expect("who sends").log_name, "tcp_envoy_accesslog");
    let Some(LogEntries::TcpLogs(entries)) = message.log_entries else { panic!("no connections") };
    let bytes = entries.log_entry[0].connection_properties.expect("bytes");
    assert!(bytes.sent_bytes > 0, "{bytes:?}");
}
