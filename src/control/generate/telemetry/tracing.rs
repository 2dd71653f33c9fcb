//! Traces: who collects them, how many, and with which tags.

use std::sync::Arc;

use ::tracing::warn;
use sagene_api::Object;
use sagene_api::istio::mesh_config::extension_provider::{OpenTelemetryProvider, ZipkinProvider};
use sagene_api::istio::mesh_config::proxy_config::Tracing as ProxyTracing;
use sagene_api::istio::telemetry::{CustomTag as Declared, Telemetry};

use super::super::proto::{Any, any, boolean, core, duration, seconds, types, uint};
use super::{OwnTraces, Settings, Side, Tracing, cluster, headers, names, provider};
use crate::index::Index;
use envoy_types::pb::envoy::config::trace::v3::{OpenTelemetryConfig, ZipkinConfig, tracing as trace};
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};

/// Tags that tell of the proxy's workload, with the variables of its environment and what stands in for them.
const OWN_TAGS: [(&str, &str, &str); 5] = [
    ("istio.canonical_revision", "CANONICAL_REVISION", "latest"),
    ("istio.canonical_service", "CANONICAL_SERVICE", "unknown"),
    ("istio.cluster_id", "ISTIO_META_CLUSTER_ID", "unknown"),
    ("istio.mesh_id", "ISTIO_META_MESH_ID", "unknown"),
    ("istio.namespace", "POD_NAMESPACE", "default"),
];

/// Tags that tell what policies in a dry run say, with where the filter notes it.
const DRY_RUN_TAGS: [(&str, &str); 4] = [
    ("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
];

/// What all levels come to.
struct Wanted {
    providers: Vec<String>,
    sampling: f64,
    disabled: bool,
    istio_tags: bool,
    propagate: bool,
    tags: std::collections::BTreeMap<String, Declared>,
}

/// The settings of one side.
pub(super) fn tracing(
    levels: &[Arc<Object<Telemetry>>],
    index: &Index,
    traces: &OwnTraces,
    side: Side,
) -> Option<Tracing> {
    let settings = &index.settings;
    let configured = configured(settings, traces);
    let wanted = wanted(levels, settings, &configured, side);
    let collector = collector(&wanted.providers, index, &configured, &traces.name);
    let collector = collector.filter(|_| !wanted.disabled);
    if collector.is_none() && !settings.enable_tracing {
        return None;
    }
    let percent = |value: f64| Some(types::Percent { value });
    let (provider, longest) = collector.map_or((None, 0), |(provider, longest)| (Some(provider), longest));
    Some(Tracing {
        client_sampling: percent(100.0),
        random_sampling: percent(wanted.sampling),
        overall_sampling: percent(100.0),
        custom_tags: tags(&wanted),
        max_path_tag_length: (longest != 0).then(|| uint(longest)).flatten(),
        provider,
        no_context_propagation: !wanted.propagate,
        ..Tracing::default()
    })
}

/// Settings of the ProxyConfig: those of the mesh, with the pod's own over them.
fn configured(settings: &Settings, traces: &OwnTraces) -> ProxyTracing {
    let mut made = settings.tracing.clone().unwrap_or_default();
    let Ok(own) = serde_json::from_str::<ProxyTracing>(&traces.settings) else { return made };
    made.sampling = own.sampling.or(made.sampling);
    made.enable_istio_tags = own.enable_istio_tags.or(made.enable_istio_tags);
    if own.max_path_tag_length != 0 {
        made.max_path_tag_length = own.max_path_tag_length;
    }
    made.zipkin = own.zipkin.or(made.zipkin);
    made.custom_tags.extend(own.custom_tags);
    made
}

fn wanted(
    levels: &[Arc<Object<Telemetry>>],
    settings: &Settings,
    configured: &ProxyTracing,
    side: Side,
) -> Wanted {
    let defaults = settings.default_providers.as_ref().map(|defaults| defaults.tracing.clone());
    let mut made = Wanted {
        providers: defaults.unwrap_or_default(),
        sampling: configured.sampling.unwrap_or(settings.trace_sampling),
        disabled: false,
        istio_tags: configured.enable_istio_tags.unwrap_or(true),
        propagate: true,
        tags: configured.custom_tags.clone(),
    };
    for entry in levels.iter().flat_map(|level| &level.spec.tracing) {
        if !side.is_meant(entry.r#match.as_ref().map(|wanted| wanted.mode).unwrap_or_default()) {
            continue;
        }
        if !entry.providers.is_empty() {
            made.providers = names(&entry.providers);
        }
        made.sampling = entry.random_sampling_percentage.unwrap_or(made.sampling);
        made.disabled = entry.disable_span_reporting.unwrap_or(made.disabled);
        made.istio_tags = entry.enable_istio_tags.unwrap_or(made.istio_tags);
        made.propagate = entry.disable_context_propagation.map_or(made.propagate, |off| !off);
        if !entry.custom_tags.is_empty() {
            made.tags.clone_from(&entry.custom_tags);
        }
    }
    made
}

fn tags(wanted: &Wanted) -> Vec<CustomTag> {
    use custom_tag::{Environment, Header, Literal, Type};
    let own = OWN_TAGS.iter().filter(|_| wanted.istio_tags).map(|(tag, variable, default)| CustomTag {
        tag: (*tag).to_owned(),
        r#type: Some(Type::Environment(Environment {
            name: (*variable).to_owned(),
            default_value: (*default).to_owned(),
        })),
    });
    let dry_run = DRY_RUN_TAGS.iter().filter(|_| wanted.istio_tags).map(|(tag, key)| CustomTag {
        tag: (*tag).to_owned(),
        r#type: Some(Type::Metadata(of_authorization(key))),
    });
    let declared = wanted.tags.iter().filter_map(|(tag, declared)| {
        let kind = if let Some(literal) = &declared.literal {
            Type::Literal(Literal { value: literal.value.clone() })
        } else if let Some(variable) = &declared.environment {
            Type::Environment(Environment {
                name: variable.name.clone(),
                default_value: variable.default_value.clone(),
            })
        } else if let Some(header) = &declared.header {
            Type::RequestHeader(Header {
                name: header.name.clone(),
                default_value: header.default_value.clone(),
            })
        } else {
            Type::Value(declared.formatter.as_ref()?.value.clone())
        };
        Some(CustomTag { tag: tag.clone(), r#type: Some(kind) })
    });
    own.chain(dry_run).chain(declared).collect()
}

/// What the filter of authorization policies notes about a request under a key.
fn of_authorization(key: &str) -> custom_tag::Metadata {
    use envoy_types::pb::envoy::r#type::metadata::v3::{
        MetadataKey, MetadataKind, metadata_key, metadata_kind,
    };
    use metadata_key::{PathSegment, path_segment::Segment};
    custom_tag::Metadata {
        kind: Some(MetadataKind { kind: Some(metadata_kind::Kind::Request(metadata_kind::Request {})) }),
        metadata_key: Some(MetadataKey {
            key: "envoy.filters.http.rbac".to_owned(),
            path: vec![PathSegment { segment: Some(Segment::Key(key.to_owned())) }],
        }),
        default_value: String::new(),
    }
}

/// The tracer, and the longest path it takes in a tag (0 for Envoy's own limit).
fn collector(
    providers: &[String],
    index: &Index,
    configured: &ProxyTracing,
    service: &str,
) -> Option<(trace::Http, u32)> {
    let settings = &index.settings;
    for name in providers {
        let Some(found) = provider(settings, name) else {
            warn!(
                provider = name,
                "tracing provider is not in meshConfig.extensionProviders: it gets no spans"
            );
            continue;
        };
        if let Some(zipkin) = &found.zipkin {
            return Some((
                http("envoy.tracers.zipkin", any(&of_zipkin(zipkin, index))),
                zipkin.max_tag_length,
            ));
        }
        if let Some(otel) = &found.opentelemetry {
            let config = of_otel(otel, index, service);
            return Some((http("envoy.tracers.opentelemetry", any(&config)), otel.max_tag_length));
        }
        warn!(provider = name, "spans are sent to zipkin and opentelemetry only: this provider gets none");
    }
    let declared = Some(configured).filter(|_| settings.enable_tracing && providers.is_empty())?;
    let (host, port) = declared.zipkin.as_ref()?.address.rsplit_once(':')?;
    let zipkin =
        ZipkinProvider { service: host.to_owned(), port: port.parse().ok()?, ..ZipkinProvider::default() };
    Some((http("envoy.tracers.zipkin", any(&of_zipkin(&zipkin, index))), declared.max_path_tag_length))
}

fn http(name: &str, config: Any) -> trace::Http {
    trace::Http { name: name.to_owned(), config_type: Some(trace::http::ConfigType::TypedConfig(config)) }
}

#[allow(deprecated, reason = "Istio writes these fields, and every Envoy reads them")]
fn of_zipkin(declared: &ZipkinProvider, index: &Index) -> ZipkinConfig {
    let (cluster, host) = cluster(index, &declared.service, declared.port);
    let path = if declared.path.is_empty() { "/api/v2/spans" } else { &declared.path };
    // Headers and time limits are told in the newer form alone.
    let service = (declared.timeout.is_some() || !declared.headers.is_empty()).then(|| core::HttpService {
        http_uri: Some(core::HttpUri {
            uri: format!("http://{host}{path}"),
            timeout: declared.timeout.map(duration).or(seconds(5)),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(cluster.clone())),
        }),
        request_headers_to_add: headers(&declared.headers),
        ..core::HttpService::default()
    });
    ZipkinConfig {
        collector_service: service,
        collector_cluster: cluster,
        collector_endpoint: path.to_owned(),
        collector_hostname: host,
        collector_endpoint_version: 1,
        trace_id_128bit: !declared.enable64bit_trace_id,
        shared_span_context: boolean(false),
        trace_context_option: i32::from(declared.trace_context_option == "USE_B3_WITH_W3C_PROPAGATION"),
        ..ZipkinConfig::default()
    }
}

fn of_otel(declared: &OpenTelemetryProvider, index: &Index, service: &str) -> OpenTelemetryConfig {
    let (cluster, host) = cluster(index, &declared.service, declared.port);
    let mut made = OpenTelemetryConfig { service_name: service.to_owned(), ..Default::default() };
    match &declared.http {
        Some(over_http) => {
            let uri = core::HttpUri {
                uri: format!("http://{host}:{}{}", declared.port, over_http.path),
                timeout: over_http.timeout.map(duration).or(seconds(5)),
                http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(cluster)),
            };
            made.http_service = Some(core::HttpService {
                http_uri: Some(uri),
                request_headers_to_add: headers(&over_http.headers),
                ..core::HttpService::default()
            });
        }
        None => {
            let settings = declared.grpc.as_ref();
            let metadata = settings.map(|grpc| headers(&grpc.initial_metadata)).unwrap_or_default();
            made.grpc_service = Some(core::GrpcService {
                target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
                    core::grpc_service::EnvoyGrpc {
                        cluster_name: cluster,
                        authority: host,
                        ..Default::default()
                    },
                )),
                timeout: settings.and_then(|grpc| grpc.timeout).map(duration),
                initial_metadata: metadata.into_iter().filter_map(|option| option.header).collect(),
                ..core::GrpcService::default()
            });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_s_own_settings_stand_over_those_of_the_mesh() {
        let tag = |value: &str| {
            let literal = serde_json::json!({"literal": {"value": value}});
            ("team".to_owned(), serde_json::from_value(literal).expect("a tag"))
        };
        let of_mesh = ProxyTracing {
            sampling: Some(1.0),
            max_path_tag_length: 99,
            custom_tags: [tag("mesh")].into(),
            ..ProxyTracing::default()
        };
        let settings = Settings { tracing: Some(of_mesh.clone()), ..Settings::default() };
        assert_eq!(configured(&settings, &OwnTraces::default()), of_mesh);
        let own = serde_json::json!({"sampling": 10, "customTags": {"team": {"literal": {"value": "pod"}}}});
        let traces = OwnTraces { name: String::new(), settings: own.to_string() };
        let found = configured(&settings, &traces);
        assert_eq!((found.sampling, found.max_path_tag_length), (Some(10.0), 99));
        let wanted = wanted(&[], &settings, &found, Side::Client);
        assert_eq!(wanted.tags["team"].literal.as_ref().expect("a text").value, "pod");
    }
}
