//! Since which version proxies implement what is sent to them without anybody asking for it, and what older ones get in its place.
//!
//! Whoever lets the control plane send a field that the last release's proxies do not implement adds a line here and marks it in
//! `fields.txt`, which the test in `inventory` compares with what is generated. Lines go when no proxy of an earlier version is served any
//! more, that is three minor versions later.

use sagene_api::envoy::json::Removal;

use super::Version;

/// A field that proxies implement since some version.
pub(super) struct Line {
    /// The first version that does.
    pub(super) since: Version,
    /// Full name of the message that it stands in.
    pub(super) message: &'static str,
    /// Its name.
    pub(super) field: &'static str,
    /// What older proxies get: the message without it, or not even what is around it.
    pub(super) instead: Removal,
}

/// What came with 0.2.0.
const V0_2: Version = Version(0, 2, 0);
/// An entry of an access log.
const ACCESS_LOG: Removal = Removal::Around("envoy.config.accesslog.v3.AccessLog");

pub(super) const TABLE: &[Line] = &[
    // Tags of spans that read what filters noted, such as the verdicts of policies in a dry run.
    Line {
        since: V0_2,
        message: "envoy.type.tracing.v3.CustomTag",
        field: "metadata",
        instead: Removal::Around("envoy.type.tracing.v3.CustomTag"),
    },
    // Weights of localities. Proxies of 0.1 choose a locality again for each attempt, so that a retry may meet the endpoint that just failed,
    // and by chance where a hash should choose. Their control planes did not send it.
    Line {
        since: V0_2,
        message: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        field: "locality_weighted_lb_config",
        instead: Removal::Field,
    },
    // Attributes for metrics, which a WasmPlugin asks for: proxies of 0.1 run no such filter, and count without them.
    Line {
        since: V0_2,
        message: "envoy.extensions.filters.http.wasm.v3.Wasm",
        field: "config",
        instead: Removal::Around("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"),
    },
    // Access logs that are sent to a service. Control planes of 0.1 passed such providers over, so a mesh may have long had them; without
    // these lines a listener would go with its log.
    Line {
        since: V0_2,
        message: "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        field: "common_config",
        instead: ACCESS_LOG,
    },
    Line {
        since: V0_2,
        message: "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        field: "common_config",
        instead: ACCESS_LOG,
    },
    Line {
        since: V0_2,
        message: "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
        field: "common_config",
        instead: ACCESS_LOG,
    },
];
