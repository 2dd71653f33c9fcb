//! The compiled HTTP connection manager and its filters.

use std::sync::Arc;
use std::time::Duration;

use super::access_log::{self, AccessLog};
use super::field::{FieldError, Within, refuse_fields, refuse_if};
use super::header_mutation::FilterMutations;
use super::listener::Direction;
use super::local_reply::LocalReply;
use super::matcher::Cidr;
use super::proto::{self, http, network, types};
use super::route_table::RouteTable;
use super::typed_struct;
use super::upstream_limits::Keepalive;
use crate::filter::attribute_gen::AttributeGen;
use crate::filter::buffer;
use crate::filter::compressor::Compressor;
use crate::filter::ext_authz::ExtAuthz;
use crate::filter::fault::Fault;
use crate::filter::jwt_authn::JwtAuthn;
use crate::filter::local_ratelimit::LocalRateLimit;
use crate::filter::ratelimit::RateLimit;
use crate::filter::rbac::Rbac;
use crate::stats::IstioStatsConfig;
use crate::tracing::config::TracingConfig;

use network::http_connection_manager::v3 as hcm;

/// Where the routes of a connection manager come from.
#[derive(Debug)]
pub(crate) enum RouteSource {
    Inline(Arc<RouteTable>),
    Discovered(String),
}

/// What happens to `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertDetails {
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

impl ClientCertDetails {
    /// Envoy's `ForwardClientCertDetails`.
    fn compile(from: i32) -> Self {
        match from {
            1 => Self::ForwardOnly,
            2 => Self::AppendForward,
            3 => Self::SanitizeSet,
            4 => Self::AlwaysForwardOnly,
            _ => Self::Sanitize,
        }
    }
}

/// Protocol of downstream connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Auto,
    Http1,
    Http2,
}

/// A compiled HTTP filter.
#[derive(Debug)]
pub(crate) enum HttpFilter {
    Router {
        suppress_envoy_headers: bool,
    },
    Rbac(Arc<Rbac>),
    JwtAuthn(Arc<JwtAuthn>),
    LocalRateLimit(Arc<LocalRateLimit>),
    RateLimit(Arc<RateLimit>),
    ExtAuthz(Arc<ExtAuthz>),
    HeaderMutation(Arc<FilterMutations>),
    /// Most bytes of a body that is waited for.
    Buffer(usize),
    Compressor(Arc<Compressor>),
    AttributeGen(Arc<AttributeGen>),
    Fault(Arc<Fault>),
    Cors,
    PeerMetadata(PeerMetadataOptions),
    IstioStats(IstioStatsConfig),
    IstioAlpn,
    GrpcStats,
    GrpcWeb,
}

/// Which way peer metadata is exchanged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PeerMetadataOptions {
    pub(crate) discover_downstream: bool,
    pub(crate) discover_upstream: bool,
    pub(crate) propagate_downstream: bool,
    pub(crate) propagate_upstream: bool,
}

/// A compiled `HttpConnectionManager`.
#[derive(Debug)]
pub(crate) struct HttpManager {
    pub(crate) stat_prefix: Arc<str>,
    pub(crate) codec: Codec,
    pub(crate) direction: Direction,
    pub(crate) routes: RouteSource,
    pub(crate) filters: Vec<HttpFilter>,
    pub(crate) server_name: String,
    pub(crate) server_header: hcm::http_connection_manager::ServerHeaderTransformation,
    pub(crate) use_remote_address: bool,
    pub(crate) trusted_hops: u32,
    pub(crate) skip_xff_append: bool,
    pub(crate) generate_request_id: bool,
    pub(crate) preserve_request_id: bool,
    pub(crate) request_id_in_response: bool,
    pub(crate) client_cert: ClientCertDetails,
    pub(crate) cert_fields: hcm::http_connection_manager::SetCurrentClientCertDetails,
    pub(crate) normalize_path: bool,
    pub(crate) merge_slashes: bool,
    pub(crate) escaped_slashes: hcm::http_connection_manager::PathWithEscapedSlashesAction,
    pub(crate) upgrades: Vec<String>,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_header_count: usize,
    pub(crate) reject_underscores: bool,
    pub(crate) accept_http_10: bool,
    /// The host of HTTP/1.0 requests without one.
    pub(crate) default_host_10: Option<String>,
    pub(crate) custom_methods: bool,
    /// Clients that may use the headers of the mesh itself.
    pub(crate) internal_addresses: Vec<Cidr>,
    pub(crate) strip_any_port: bool,
    pub(crate) strip_matching_port: bool,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) stream_idle_timeout: Option<Duration>,
    /// Longest life of a connection, and of a request with its response.
    pub(crate) max_connection: Option<Duration>,
    pub(crate) max_stream: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) headers_timeout: Option<Duration>,
    pub(crate) max_requests: u32,
    pub(crate) h2_streams: u32,
    pub(crate) h2_stream_window: u32,
    pub(crate) h2_connection_window: u32,
    pub(crate) h2_keepalive: Option<Keepalive>,
    pub(crate) access_logs: Vec<Arc<AccessLog>>,
    pub(crate) tracing: Option<TracingConfig>,
    pub(crate) local_reply: Option<LocalReply>,
}

impl HttpManager {
    pub(crate) fn compile(
        from: &hcm::HttpConnectionManager,
        direction: Direction,
    ) -> Result<Self, FieldError> {
        refuse_unsupported(from)?;
        let common = from.common_http_protocol_options.unwrap_or_default();
        let h1 = from.http_protocol_options.clone().unwrap_or_default();
        let h2 = from.http2_protocol_options.clone().unwrap_or_default();
        refuse_http1(&h1).within("http_protocol_options")?;
        Ok(Self {
            stat_prefix: from.stat_prefix.as_str().into(),
            codec: [Codec::Auto, Codec::Http1, Codec::Http2][(from.codec_type.clamp(0, 2)) as usize],
            direction,
            routes: compile_routes(from)?,
            filters: compile_filters(from)?,
            server_name: if from.server_name.is_empty() { "envoy".into() } else { from.server_name.clone() },
            server_header: from.server_header_transformation(),
            use_remote_address: from.use_remote_address.as_ref().is_some_and(|b| b.value),
            trusted_hops: from.xff_num_trusted_hops,
            skip_xff_append: from.skip_xff_append,
            generate_request_id: from.generate_request_id.as_ref().is_none_or(|b| b.value),
            preserve_request_id: from.preserve_external_request_id,
            request_id_in_response: from.always_set_request_id_in_response,
            client_cert: ClientCertDetails::compile(from.forward_client_cert_details),
            cert_fields: from.set_current_client_cert_details.unwrap_or_default(),
            normalize_path: from.normalize_path.as_ref().is_some_and(|b| b.value),
            merge_slashes: from.merge_slashes,
            escaped_slashes: from.path_with_escaped_slashes_action(),
            upgrades: upgrades(from),
            max_header_bytes: proto::uint(from.max_request_headers_kb.as_ref(), 60) as usize * 1024,
            max_header_count: proto::uint(common.max_headers_count.as_ref(), 100) as usize,
            reject_underscores: common.headers_with_underscores_action == 1,
            accept_http_10: h1.accept_http_10,
            default_host_10: (!h1.default_host_for_http_10.is_empty()).then_some(h1.default_host_for_http_10),
            custom_methods: h1.allow_custom_methods,
            internal_addresses: internal_addresses(from)?,
            strip_any_port: strips_any_port(from),
            strip_matching_port: from.strip_matching_host_port,
            idle_timeout: proto::timeout(common.idle_timeout.as_ref(), Some(Duration::from_secs(3600))),
            stream_idle_timeout: proto::timeout(
                from.stream_idle_timeout.as_ref(),
                Some(Duration::from_secs(300)),
            ),
            max_connection: proto::timeout(common.max_connection_duration.as_ref(), None),
            max_stream: proto::timeout(common.max_stream_duration.as_ref(), None),
            request_timeout: proto::timeout(from.request_timeout.as_ref(), None),
            headers_timeout: proto::timeout(
                from.request_headers_timeout.as_ref(),
                Some(Duration::from_secs(60)),
            ),
            max_requests: proto::uint(common.max_requests_per_connection.as_ref(), 0),
            h2_streams: proto::uint(h2.max_concurrent_streams.as_ref(), 100).min(10_000),
            h2_stream_window: proto::uint(h2.initial_stream_window_size.as_ref(), 65_535)
                .clamp(65_535, 1 << 24),
            h2_connection_window: proto::uint(h2.initial_connection_window_size.as_ref(), 1 << 20)
                .clamp(65_535, 1 << 25),
            h2_keepalive: Keepalive::compile(h2.connection_keepalive.as_ref()),
            access_logs: access_log::compile_all(&from.access_log)?,
            tracing: from.tracing.as_ref().map(TracingConfig::compile).transpose().within("tracing")?,
            local_reply: from
                .local_reply_config
                .as_ref()
                .map(LocalReply::compile)
                .transpose()
                .within("local_reply_config")?,
        })
    }

    /// Whether the router keeps `x-envoy-` headers of its own to itself.
    pub(crate) fn is_discreet(&self) -> bool {
        matches!(self.filters.last(), Some(HttpFilter::Router { suppress_envoy_headers: true }))
    }

    /// The first filter of a kind.
    pub(crate) fn peer_metadata(&self) -> Option<PeerMetadataOptions> {
        self.filters.iter().find_map(|filter| match filter {
            HttpFilter::PeerMetadata(options) => Some(*options),
            _ => None,
        })
    }
}

fn refuse_unsupported(from: &hcm::HttpConnectionManager) -> Result<(), FieldError> {
    refuse_if(from.codec_type == 3, "codec_type", "HTTP3 is not supported yet")?;
    refuse_if(
        !from.early_header_mutation_extensions.is_empty(),
        "early_header_mutation_extensions",
        "is not supported",
    )?;
    refuse_if(
        !from.original_ip_detection_extensions.is_empty(),
        "original_ip_detection_extensions",
        "is not supported",
    )?;
    refuse_if(from.forward_client_cert_matcher.is_some(), "forward_client_cert_matcher", "is not supported")?;
    refuse_if(
        from.set_current_client_cert_details.is_some_and(|fields| fields.chain),
        "set_current_client_cert_details.chain",
        "is not supported; use cert",
    )?;
    refuse_fields!(
        from,
        via,
        add_user_agent,
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        path_normalization_options,
        strip_trailing_host_dot,
        proxy_status_config,
        typed_header_validation_config,
        append_x_forwarded_port,
        scheme_header_transformation,
        access_log_flush_interval,
        flush_access_log_on_new_request,
        access_log_options,
    );
    Ok(())
}

fn compile_filters(from: &hcm::HttpConnectionManager) -> Result<Vec<HttpFilter>, FieldError> {
    let mut filters = Vec::new();
    for (index, filter) in from.http_filters.iter().enumerate() {
        if let Some(filter) = compile_filter(filter).within_item("http_filters", index)? {
            filters.push(filter);
        }
    }
    if !matches!(filters.last(), Some(HttpFilter::Router { .. })) {
        return Err(FieldError::new("http_filters", "the last filter must be envoy.filters.http.router"));
    }
    Ok(filters)
}

/// Protocols that connections may be upgraded to, in lower case.
fn upgrades(from: &hcm::HttpConnectionManager) -> Vec<String> {
    let enabled =
        from.upgrade_configs.iter().filter(|upgrade| upgrade.enabled.as_ref().is_none_or(|b| b.value));
    enabled.map(|upgrade| upgrade.upgrade_type.to_ascii_lowercase()).collect()
}

fn strips_any_port(from: &hcm::HttpConnectionManager) -> bool {
    use hcm::http_connection_manager::StripPortMode;
    matches!(from.strip_port_mode, Some(StripPortMode::StripAnyHostPort(true)))
}

fn compile_routes(from: &hcm::HttpConnectionManager) -> Result<RouteSource, FieldError> {
    match &from.route_specifier {
        Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(table)) => {
            Ok(RouteSource::Inline(Arc::new(RouteTable::compile(table).within("route_config")?)))
        }
        Some(hcm::http_connection_manager::RouteSpecifier::Rds(rds)) => {
            Ok(RouteSource::Discovered(rds.route_config_name.clone()))
        }
        Some(hcm::http_connection_manager::RouteSpecifier::ScopedRoutes(_)) => {
            Err(FieldError::new("scoped_routes", "is not supported"))
        }
        None => Err(FieldError::new("route_specifier", "is missing; give rds or route_config")),
    }
}

fn refuse_http1(from: &proto::core::Http1ProtocolOptions) -> Result<(), FieldError> {
    refuse_fields!(
        from,
        header_key_format,
        allow_chunked_length,
        send_fully_qualified_url,
        ignore_http_11_upgrade
    );
    let refused = from.allow_absolute_url.as_ref().is_some_and(|b| !b.value);
    refuse_if(refused, "allow_absolute_url", "cannot be turned off")
}

fn internal_addresses(from: &hcm::HttpConnectionManager) -> Result<Vec<Cidr>, FieldError> {
    let ranges = from.internal_address_config.iter().flat_map(|config| &config.cidr_ranges).enumerate();
    ranges
        .map(|(i, range)| Cidr::compile(range).within_item("internal_address_config.cidr_ranges", i))
        .collect()
}

fn compile_filter(from: &hcm::HttpFilter) -> Result<Option<HttpFilter>, FieldError> {
    refuse_if(from.disabled, "disabled", "filters enabled per route only are not supported yet")?;
    let Some(hcm::http_filter::ConfigType::TypedConfig(any)) = &from.config_type else {
        return Err(FieldError::new(
            "typed_config",
            "is missing; configuration by discovery (ECDS) is not supported yet",
        ));
    };
    let any = &*match typed_struct::unwrap(any) {
        Ok(any) => any,
        Err(_) if from.is_optional => return Ok(None),
        Err(error) => return Err(error.within("typed_config")),
    };
    Ok(Some(match proto::short_type(&any.type_url) {
        "envoy.extensions.filters.http.router.v3.Router" => {
            let router: http::router::v3::Router = proto::decode(any)?;
            refuse_fields!(router, upstream_log, strict_check_headers, respect_expected_rq_timeout);
            refuse_if(
                !router.upstream_http_filters.is_empty(),
                "typed_config.upstream_http_filters",
                "is not supported",
            )?;
            HttpFilter::Router { suppress_envoy_headers: router.suppress_envoy_headers }
        }
        "envoy.extensions.filters.http.rbac.v3.RBAC" => {
            let rbac: http::rbac::v3::Rbac = proto::decode(any)?;
            refuse_if(rbac.matcher.is_some(), "typed_config.matcher", "is not supported; use rules")?;
            refuse_fields!(rbac, shadow_matcher);
            HttpFilter::Rbac(Arc::new(Rbac::compile_filter(&rbac).within("typed_config")?))
        }
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" => {
            HttpFilter::JwtAuthn(Arc::new(JwtAuthn::compile(&proto::decode(any)?).within("typed_config")?))
        }
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
            let limit = LocalRateLimit::compile(&proto::decode(any)?).within("typed_config")?;
            HttpFilter::LocalRateLimit(Arc::new(limit))
        }
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit" => {
            HttpFilter::RateLimit(Arc::new(RateLimit::compile(&proto::decode(any)?).within("typed_config")?))
        }
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" => {
            HttpFilter::ExtAuthz(Arc::new(ExtAuthz::compile(&proto::decode(any)?).within("typed_config")?))
        }
        "envoy.extensions.filters.http.buffer.v3.Buffer" => {
            HttpFilter::Buffer(buffer::compile(&proto::decode(any)?).within("typed_config")?)
        }
        "envoy.extensions.filters.http.compressor.v3.Compressor" => HttpFilter::Compressor(Arc::new(
            Compressor::compile(&proto::decode(any)?).within("typed_config")?,
        )),
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation" => {
            let changes = FilterMutations::compile(&proto::decode(any)?).within("typed_config")?;
            HttpFilter::HeaderMutation(Arc::new(changes))
        }
        "envoy.extensions.filters.http.fault.v3.HTTPFault" => {
            HttpFilter::Fault(Arc::new(Fault::compile(&proto::decode(any)?).within("typed_config")?))
        }
        "envoy.extensions.filters.http.cors.v3.Cors" => HttpFilter::Cors,
        "io.istio.http.peer_metadata.Config" => HttpFilter::PeerMetadata(peer_metadata(&any.value)),
        "stats.PluginConfig" => HttpFilter::IstioStats(IstioStatsConfig::compile(any)?),
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig" => HttpFilter::IstioAlpn,
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig" => HttpFilter::GrpcStats,
        "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb" => HttpFilter::GrpcWeb,
        "envoy.extensions.filters.http.wasm.v3.Wasm" => HttpFilter::AttributeGen(Arc::new(
            AttributeGen::compile(&proto::decode(any)?).within("typed_config")?,
        )),
        _ if from.is_optional => return Ok(None),
        other => {
            let known = "router, rbac, buffer, compressor, ext_authz, header_mutation, jwt_authn, local_ratelimit, ratelimit, fault, cors, grpc_stats, grpc_web, istio.metadata_exchange, istio.stats, istio.alpn";
            return Err(FieldError::new(
                "typed_config",
                format!("{other} is not supported; known HTTP filters: {known}"),
            ));
        }
    }))
}

/// Top-level fields of a message without its schema: number and, for varints, value.
fn fields(mut bytes: &[u8]) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let Ok((tag, wire)) = prost::encoding::decode_key(&mut bytes) else { break };
        let value = match wire {
            prost::encoding::WireType::Varint => prost::encoding::decode_varint(&mut bytes).unwrap_or(0),
            _ => {
                if prost::encoding::skip_field(
                    wire,
                    tag,
                    &mut bytes,
                    prost::encoding::DecodeContext::default(),
                )
                .is_err()
                {
                    break;
                }
                1
            }
        };
        found.push((tag, value));
    }
    found
}

fn has_true(bytes: &[u8], number: u32) -> bool {
    fields(bytes).iter().any(|(tag, value)| *tag == number && *value != 0)
}

/// `io.istio.http.peer_metadata.Config`: discovery 1 and 2, propagation 3 and 4 (downstream, upstream).
fn peer_metadata(bytes: &[u8]) -> PeerMetadataOptions {
    PeerMetadataOptions {
        discover_downstream: has_true(bytes, 1),
        discover_upstream: has_true(bytes, 2),
        propagate_downstream: has_true(bytes, 3),
        propagate_upstream: has_true(bytes, 4),
    }
}

/// The share of a fault as its own message has it.
pub(crate) fn fraction_or_none(from: Option<&types::FractionalPercent>) -> super::matcher::Fraction {
    from.map_or(
        super::matcher::Fraction::compile(&types::FractionalPercent::default()),
        super::matcher::Fraction::compile,
    )
}

#[cfg(test)]
mod tests {
    use sagene_model::not_yet_effective::envoy_filter::HTTP_FILTERS;

    use super::proto::Any;
    use super::*;

    #[test]
    fn the_filters_that_the_mesh_counts_on_are_known() {
        let unknown = |message: &str| {
            let any = Any { type_url: format!("type.googleapis.com/{message}"), ..Default::default() };
            let config_type = Some(hcm::http_filter::ConfigType::TypedConfig(any));
            let compiled = compile_filter(&hcm::HttpFilter { config_type, ..Default::default() });
            compiled.is_err_and(|error| error.reason.contains("known HTTP filters"))
        };
        assert!(unknown("envoy.extensions.filters.http.lua.v3.Lua"));
        let missing: Vec<_> = HTTP_FILTERS.into_iter().filter(|message| unknown(message)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
