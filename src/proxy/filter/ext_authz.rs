//! External authorization: a service decides about each request, asked by HTTP or by gRPC.

mod exchange;
mod grpc;
mod http;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::proto::{self, http as proto_http, matcher, types};
use crate::config::{FieldError, Fraction, TextMatch, Within, refuse_if};
use crate::filter::grpc_service::GrpcService;
use crate::filter::metadata::MetadataMatch;
use crate::http::headers::HeaderList;
use crate::stats::{Counter, Registry};
use proto_http::ext_authz::v3 as ext_authz;

/// Time a service has where nothing is said.
const TIMEOUT: Duration = Duration::from_millis(200);

/// The compiled filter.
#[derive(Debug)]
pub(crate) struct ExtAuthz {
    service: Service,
    /// Requests pass when the service fails.
    fail_open: bool,
    /// And are marked then.
    tells_failure: bool,
    status_on_error: u16,
    body: Option<BodyLimit>,
    clear_route_cache: bool,
    /// Only requests with these metadata are asked about.
    enabled_metadata: Option<MetadataMatch>,
    /// Only this share is asked about.
    enabled: Option<Fraction>,
    allowed_headers: Vec<TextMatch>,
    disallowed_headers: Vec<TextMatch>,
    include_certificate: bool,
    include_tls_session: bool,
    stat_prefix: Box<str>,
    counters: OnceLock<Counters>,
}

#[derive(Debug)]
enum Service {
    Http(Box<http::HttpService>),
    Grpc(GrpcService),
}

/// How much of the body goes along.
#[derive(Debug, Clone, Copy)]
struct BodyLimit {
    most: usize,
    /// Longer ones are cut, not refused.
    partial: bool,
    as_bytes: bool,
}

/// What routes say about the filter.
#[derive(Debug, Clone)]
pub(crate) enum ExtAuthzOverride {
    Disabled,
    Settings { context: Arc<[(String, String)]>, no_body: bool },
}

#[derive(Debug)]
struct Counters {
    ok: Arc<Counter>,
    denied: Arc<Counter>,
    error: Arc<Counter>,
    disabled: Arc<Counter>,
    failure_mode_allowed: Arc<Counter>,
}

/// What the service says.
#[derive(Debug)]
enum Decision {
    Allowed(Box<Changes>),
    Denied(Box<Refusal>),
    /// It said nothing that can be used.
    Failed,
}

/// Changes of a request that may pass, and of its answer.
#[derive(Debug, Default)]
struct Changes {
    set: Vec<(Vec<u8>, Vec<u8>)>,
    /// Added to headers of that name where there are any.
    append: Vec<(Vec<u8>, Vec<u8>)>,
    add_if_absent: Vec<(Vec<u8>, Vec<u8>)>,
    remove: Vec<Vec<u8>>,
    response: Vec<(Vec<u8>, Vec<u8>)>,
    query_set: Vec<(String, String)>,
    query_remove: Vec<String>,
    metadata: Option<serde_json::Value>,
}

/// The answer for a request that may not pass.
#[derive(Debug, Default)]
struct Refusal {
    status: u16,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    metadata: Option<serde_json::Value>,
}

impl ExtAuthz {
    pub(crate) fn compile(from: &ext_authz::ExtAuthz) -> Result<Self, FieldError> {
        refuse_unknown(from)?;
        let service = match &from.services {
            Some(ext_authz::ext_authz::Services::HttpService(service)) => {
                Service::Http(Box::new(http::HttpService::compile(service).within("http_service")?))
            }
            Some(ext_authz::ext_authz::Services::GrpcService(service)) => {
                let time = timeout(service.timeout.as_ref());
                Service::Grpc(GrpcService::compile(service, time).within("grpc_service")?)
            }
            None => return Err(FieldError::new("services", "give http_service or grpc_service")),
        };
        let body = from.with_request_body.as_ref().map(|limit| BodyLimit {
            most: limit.max_request_bytes as usize,
            partial: limit.allow_partial_message,
            as_bytes: limit.pack_as_bytes,
        });
        let share = from.filter_enabled.as_ref().and_then(|share| share.default_value.as_ref());
        Ok(Self {
            service,
            fail_open: from.failure_mode_allow,
            tells_failure: from.failure_mode_allow_header_add,
            status_on_error: status(from.status_on_error.as_ref(), 403),
            body,
            clear_route_cache: from.clear_route_cache,
            enabled_metadata: from
                .filter_enabled_metadata
                .as_ref()
                .map(MetadataMatch::compile)
                .transpose()
                .within("filter_enabled_metadata")?,
            enabled: share.map(Fraction::compile),
            allowed_headers: matchers(from.allowed_headers.as_ref()).within("allowed_headers")?,
            disallowed_headers: matchers(from.disallowed_headers.as_ref()).within("disallowed_headers")?,
            include_certificate: from.include_peer_certificate,
            include_tls_session: from.include_tls_session,
            stat_prefix: from.stat_prefix.as_str().into(),
            counters: OnceLock::new(),
        })
    }

    fn counters(&self, registry: &Registry, manager: &str) -> &Counters {
        let own = if self.stat_prefix.is_empty() { String::new() } else { format!("{}.", self.stat_prefix) };
        let manager = manager.trim_end_matches(';');
        let of = |name: &str| registry.counter(&format!("http.{manager}.ext_authz.{own}{name}"));
        self.counters.get_or_init(|| Counters {
            ok: of("ok"),
            denied: of("denied"),
            error: of("error"),
            disabled: of("disabled"),
            failure_mode_allowed: of("failure_mode_allowed"),
        })
    }

    /// Whether the service learns of a header by what the filter says; `None` where it says nothing.
    fn sends(&self, name: &[u8]) -> Option<bool> {
        if self.disallowed_headers.iter().any(|rule| rule.matches(name)) {
            return Some(false);
        }
        let listed = !self.allowed_headers.is_empty();
        listed.then(|| self.allowed_headers.iter().any(|rule| rule.matches(name)))
    }
}

impl ExtAuthzOverride {
    pub(crate) fn compile(from: &ext_authz::ExtAuthzPerRoute) -> Result<Self, FieldError> {
        use ext_authz::ext_authz_per_route::Override;
        match &from.r#override {
            Some(Override::Disabled(true)) => Ok(Self::Disabled),
            Some(Override::CheckSettings(settings)) => {
                refuse_if(settings.with_request_body.is_some(), "with_request_body", "is not supported")?;
                refuse_if(settings.service_override.is_some(), "service_override", "is not supported")?;
                let context = settings.context_extensions.iter();
                Ok(Self::Settings {
                    context: context.map(|(key, value)| (key.clone(), value.clone())).collect(),
                    no_body: settings.disable_request_body_buffering,
                })
            }
            _ => Err(FieldError::new("override", "give disabled: true or check_settings")),
        }
    }
}

/// What would silently do something else is refused.
fn refuse_unknown(from: &ext_authz::ExtAuthz) -> Result<(), FieldError> {
    let lists = [
        (&from.metadata_context_namespaces, "metadata_context_namespaces"),
        (&from.typed_metadata_context_namespaces, "typed_metadata_context_namespaces"),
        (&from.route_metadata_context_namespaces, "route_metadata_context_namespaces"),
        (&from.route_typed_metadata_context_namespaces, "route_typed_metadata_context_namespaces"),
    ];
    for (list, name) in lists {
        refuse_if(!list.is_empty(), name, "is not supported")?;
    }
    refuse_if(from.deny_at_disable.is_some(), "deny_at_disable", "is not supported")?;
    refuse_if(from.shadow_mode, "shadow_mode", "is not supported")?;
    refuse_if(from.encode_raw_headers, "encode_raw_headers", "is not supported")?;
    refuse_if(
        from.decoder_header_mutation_rules.is_some(),
        "decoder_header_mutation_rules",
        "is not supported",
    )
}

/// A status, or the one that holds without.
fn status(from: Option<&types::HttpStatus>, default: u16) -> u16 {
    from.and_then(|status| u16::try_from(status.code).ok()).filter(|code| *code >= 200).unwrap_or(default)
}

fn matchers(from: Option<&matcher::ListStringMatcher>) -> Result<Vec<TextMatch>, FieldError> {
    let patterns = from.into_iter().flat_map(|list| &list.patterns).enumerate();
    patterns.map(|(index, pattern)| TextMatch::compile(pattern).within_item("patterns", index)).collect()
}

/// All values of a header, comma-separated.
fn joined(headers: &HeaderList, name: &[u8]) -> Vec<u8> {
    headers.get_all(name).collect::<Vec<_>>().join(b",".as_slice())
}

fn timeout(from: Option<&proto::ProtoDuration>) -> Option<Duration> {
    proto::timeout(from, Some(TIMEOUT))
}
