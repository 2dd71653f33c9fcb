//! The compiled `tracing` of a connection manager.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::trace::v3::{self as trace, tracing::http::ConfigType};

use super::tag::CustomTag;
use crate::access_log::format::Template;
use crate::config::proto::{self, core, network, types};
use crate::config::{FieldError, Within, refuse_if};
use network::http_connection_manager::v3::http_connection_manager as manager;

/// Envoy's bound for the path in `http.url`.
const PATH_LENGTH: u32 = 256;
/// Time a collector has to answer where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How requests of a connection manager are traced.
#[derive(Debug)]
pub(crate) struct TracingConfig {
    pub(crate) shares: Shares,
    /// Longest path in `http.url`.
    pub(crate) path_length: usize,
    pub(crate) tags: Vec<CustomTag>,
    /// Whether upstreams are told the context.
    pub(crate) propagates: bool,
    /// `None`: requests are marked as traced or not, no more.
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// Shares of requests in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Of those that the client asks to be traced.
    pub(crate) client: u64,
    /// Of all others.
    pub(crate) random: u64,
    /// Of those that would be traced.
    pub(crate) overall: u64,
}

/// Which headers carry the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    B3,
    /// B3, and `traceparent` beside it.
    B3WithW3c,
    W3c,
}

/// Makes spans for one collector.
#[derive(Debug)]
pub(crate) struct Tracer {
    pub(crate) propagation: Propagation,
    /// Whether trace ids have 128 bits.
    pub(crate) wide_ids: bool,
    /// Whether a server's span has the id of the client's.
    pub(crate) shared_spans: bool,
    pub(crate) collector: Collector,
}

/// Where spans go, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Collector {
    pub(crate) cluster: Box<str>,
    pub(crate) authority: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
    pub(crate) format: Format,
    /// Name under which spans are reported; empty = that of the node's cluster.
    pub(crate) service: Box<str>,
    /// Further facts about the resource.
    pub(crate) resource: Vec<(Box<str>, Box<str>)>,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    ZipkinJson,
    OtlpGrpc,
    OtlpHttp,
}

impl TracingConfig {
    pub(crate) fn compile(from: &manager::Tracing) -> Result<Self, FieldError> {
        refuse_if(from.verbose, "verbose", "is not supported")?;
        let spawn = from.spawn_upstream_span.as_ref().is_some_and(|flag| flag.value);
        refuse_if(spawn, "spawn_upstream_span", "is not supported")?;
        refuse_if(!from.operation.is_empty(), "operation", "is not supported; use the route's decorator")?;
        refuse_if(!from.upstream_operation.is_empty(), "upstream_operation", "is not supported")?;
        let share = |percent: Option<&types::Percent>| {
            // Saturating: what is no share is none, or all.
            percent.map_or(10_000, |percent| (percent.value * 100.0).clamp(0.0, 10_000.0) as u64)
        };
        let tags = from.custom_tags.iter().enumerate();
        let tags = tags.map(|(index, tag)| CustomTag::compile(tag).within_item("custom_tags", index));
        let tracer = from.provider.as_ref().map(|provider| Tracer::compile(provider).within("provider"));
        Ok(Self {
            shares: Shares {
                client: share(from.client_sampling.as_ref()),
                random: share(from.random_sampling.as_ref()),
                overall: share(from.overall_sampling.as_ref()),
            },
            path_length: proto::uint(from.max_path_tag_length.as_ref(), PATH_LENGTH) as usize,
            tags: tags.collect::<Result<_, _>>()?,
            propagates: !from.no_context_propagation,
            tracer: tracer.transpose()?.map(Arc::new),
        })
    }
}

impl Tracer {
    fn compile(from: &trace::tracing::Http) -> Result<Self, FieldError> {
        let Some(ConfigType::TypedConfig(any)) = &from.config_type else {
            return Err(FieldError::new("typed_config", "is missing"));
        };
        match proto::short_type(&any.type_url) {
            "envoy.config.trace.v3.ZipkinConfig" => zipkin(&proto::decode(any)?).within("typed_config"),
            "envoy.config.trace.v3.OpenTelemetryConfig" => {
                opentelemetry(&proto::decode(any)?).within("typed_config")
            }
            other => Err(FieldError::new(
                "typed_config",
                format!("{other} is not supported; known tracers: zipkin, opentelemetry"),
            )),
        }
    }
}

#[allow(deprecated, reason = "control planes write these fields")]
fn zipkin(from: &trace::ZipkinConfig) -> Result<Tracer, FieldError> {
    use trace::zipkin_config::{CollectorEndpointVersion, TraceContextOption};
    let json = from.collector_endpoint_version() == CollectorEndpointVersion::HttpJson;
    refuse_if(
        !json && from.collector_service.is_none(),
        "collector_endpoint_version",
        "only HTTP_JSON is supported",
    )?;
    let collector = match &from.collector_service {
        Some(service) => over_http(service, Format::ZipkinJson).within("collector_service")?,
        None => {
            refuse_if(from.collector_cluster.is_empty(), "collector_cluster", "is missing")?;
            let named = from.collector_hostname.is_empty();
            let host = if named { &from.collector_cluster } else { &from.collector_hostname };
            Collector {
                cluster: from.collector_cluster.as_str().into(),
                authority: host.as_str().into(),
                path: from.collector_endpoint.as_str().into(),
                timeout: Some(TIMEOUT),
                headers: Vec::new(),
                format: Format::ZipkinJson,
                service: Box::default(),
                resource: Vec::new(),
            }
        }
    };
    let with_w3c = from.trace_context_option() == TraceContextOption::UseB3WithW3cPropagation;
    Ok(Tracer {
        propagation: if with_w3c { Propagation::B3WithW3c } else { Propagation::B3 },
        wide_ids: from.trace_id_128bit,
        shared_spans: from.shared_span_context.as_ref().is_none_or(|flag| flag.value)
            && !from.split_spans_for_request,
        collector,
    })
}

fn opentelemetry(from: &trace::OpenTelemetryConfig) -> Result<Tracer, FieldError> {
    refuse_if(from.sampler.is_some(), "sampler", "is not supported; set random_sampling")?;
    refuse_if(from.exporter.is_some(), "exporter", "is not supported; use grpc_service or http_service")?;
    let mut collector = match (&from.grpc_service, &from.http_service) {
        (Some(service), None) => over_grpc(service).within("grpc_service")?,
        (None, Some(service)) => over_http(service, Format::OtlpHttp).within("http_service")?,
        _ => return Err(FieldError::new("grpc_service", "give one of grpc_service and http_service")),
    };
    collector.service = from.service_name.as_str().into();
    for (index, detector) in from.resource_detectors.iter().enumerate() {
        collector.resource.extend(resource(detector).within_item("resource_detectors", index)?);
    }
    Ok(Tracer { propagation: Propagation::W3c, wide_ids: true, shared_spans: false, collector })
}

/// The facts that a detector finds.
fn resource(from: &core::TypedExtensionConfig) -> Result<Vec<(Box<str>, Box<str>)>, FieldError> {
    let kind = from.typed_config.as_ref().map_or("", |any| proto::short_type(&any.type_url));
    if kind
        != "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig"
    {
        let reason = format!("{} is not supported; known: environment", from.name);
        return Err(FieldError::new("typed_config", reason));
    }
    let declared = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let pairs = declared.split(',').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(key, value)| (key.trim().into(), value.trim().into())).collect())
}

fn over_grpc(from: &core::GrpcService) -> Result<Collector, FieldError> {
    use core::grpc_service::TargetSpecifier;
    let Some(TargetSpecifier::EnvoyGrpc(target)) = &from.target_specifier else {
        return Err(FieldError::new("envoy_grpc", "is missing; google_grpc is not supported"));
    };
    refuse_if(target.cluster_name.is_empty(), "envoy_grpc.cluster_name", "is missing")?;
    let named = target.authority.is_empty();
    let authority = if named { &target.cluster_name } else { &target.authority };
    let headers = from.initial_metadata.iter();
    Ok(Collector {
        cluster: target.cluster_name.as_str().into(),
        authority: authority.as_str().into(),
        path: sagene_api::trace::opentelemetry::EXPORT_PATH.into(),
        timeout: proto::timeout(from.timeout.as_ref(), Some(TIMEOUT)),
        headers: headers.map(header).collect::<Result<_, _>>().within("initial_metadata")?,
        format: Format::OtlpGrpc,
        service: Box::default(),
        resource: Vec::new(),
    })
}

fn over_http(from: &core::HttpService, format: Format) -> Result<Collector, FieldError> {
    let uri = from.http_uri.as_ref().ok_or_else(|| FieldError::new("http_uri", "is missing"))?;
    let Some(core::http_uri::HttpUpstreamType::Cluster(cluster)) = &uri.http_upstream_type else {
        return Err(FieldError::new("http_uri.cluster", "is missing"));
    };
    let rest = uri.uri.split_once("://").map_or(uri.uri.as_str(), |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let headers = from.request_headers_to_add.iter().filter_map(|option| option.header.as_ref());
    Ok(Collector {
        cluster: cluster.as_str().into(),
        authority: authority.into(),
        path: if path.is_empty() { "/" } else { path }.into(),
        timeout: proto::timeout(uri.timeout.as_ref(), Some(TIMEOUT)),
        headers: headers.map(header).collect::<Result<_, _>>().within("request_headers_to_add")?,
        format,
        service: Box::default(),
        resource: Vec::new(),
    })
}

/// A header whose value the environment may give; nothing else is known when a report leaves.
fn header(from: &core::HeaderValue) -> Result<(Box<str>, Box<str>), FieldError> {
    let value = Template::compile(&from.value).within("value")?;
    let value = value
        .constant()
        .ok_or_else(|| FieldError::new("value", "only %ENVIRONMENT(…)% is known in headers of reports"))?;
    Ok((from.key.to_ascii_lowercase().into(), String::from_utf8_lossy(value).into()))
}
