//! CUSTOM policies: a shadow RBAC finds the requests that they concern, and the filter of the provider asks about those.

use std::collections::HashMap;

use sagene_api::istio::mesh_config::ExtensionProvider;
use sagene_api::istio::mesh_config::extension_provider::{ExtAuthzGrpc, ExtAuthzHttp, ExtAuthzRequestBody};

use super::super::proto::{any, core, http, matcher, rbac, types};
use super::super::{proto, telemetry};
use super::rule::{self, Context};
use super::{HttpFilter, Selected, http_filter};
use crate::index::Index;
use http::ext_authz::v3::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, ExtAuthz, HttpService, ext_authz::Services,
};
use sagene_api::Duration;

/// In front of the names of policies.
const POLICY_PREFIX: &str = "istio-ext-authz";
/// In front of what the shadow rules note.
const SHADOW_PREFIX: &str = "istio_ext_authz_";
/// Time a provider has where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The filters of the CUSTOM policies that select a workload; everything is refused where their provider is not known.
pub(super) fn filters(index: &Index, selected: &Selected<'_>) -> Vec<HttpFilter> {
    let Some(first) = selected.first() else { return Vec::new() };
    let name = first.spec.provider.as_ref().map(|provider| provider.name.as_str()).unwrap_or_default();
    let same =
        selected.iter().all(|policy| policy.spec.provider.as_ref().is_some_and(|one| one.name == name));
    let known = telemetry::provider(&index.settings, name).filter(|_| same);
    let Some(asked) = known.and_then(|provider| asked(provider, index, name)) else {
        let concerned = "every request is refused: the provider of CUSTOM policies must be one of meshConfig.extensionProviders";
        tracing::warn!(provider = name, policy = first.metadata.name, "{concerned}");
        return vec![refuse_all()];
    };
    let shadow = http::rbac::v3::Rbac {
        shadow_rules: Some(concerned(index, selected, name)),
        shadow_rules_stat_prefix: SHADOW_PREFIX.to_owned(),
        ..Default::default()
    };
    vec![filter("envoy.filters.http.rbac", any(&shadow)), filter("envoy.filters.http.ext_authz", any(&asked))]
}

fn filter(name: &str, config: proto::Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// Whether connections are left alone by a policy: a provider that is asked by HTTP knows nothing of them.
pub(super) fn ignores_connections(index: &Index, name: &str) -> bool {
    telemetry::provider(&index.settings, name).is_some_and(|provider| provider.envoy_ext_authz_http.is_some())
}

fn refuse_all() -> HttpFilter {
    let everything = rbac::Policy {
        permissions: vec![rbac::Permission { rule: Some(rbac::permission::Rule::Any(true)) }],
        principals: vec![rbac::Principal { identifier: Some(rbac::principal::Identifier::Any(true)) }],
        ..rbac::Policy::default()
    };
    let rules = rbac::Rbac {
        action: rbac::rbac::Action::Deny as i32,
        policies: HashMap::from([("default-deny-all-due-to-bad-CUSTOM-action".to_owned(), everything)]),
        ..rbac::Rbac::default()
    };
    let config = http::rbac::v3::Rbac { rules: Some(rules), ..Default::default() };
    filter("envoy.filters.http.rbac", any(&config))
}

/// What the policies match.
fn concerned(index: &Index, selected: &Selected<'_>, provider: &str) -> rbac::Rbac {
    let mut policies = HashMap::new();
    for policy in selected {
        let metadata = &policy.metadata;
        let namespace = metadata.namespace.as_str();
        let context = Context { mesh: &index.settings.mesh, namespace, tcp: false, denies: true };
        for (at, declared) in policy.spec.rules.iter().enumerate() {
            let name =
                format!("{POLICY_PREFIX}-{provider}-ns[{namespace}]-policy[{}]-rule[{at}]", metadata.name);
            policies.extend(rule::policy(declared, context).map(|made| (name, made)));
        }
    }
    rbac::Rbac { action: rbac::rbac::Action::Deny as i32, policies, ..rbac::Rbac::default() }
}

/// The filter that asks a provider; `None` for providers that cannot be asked.
fn asked(provider: &ExtensionProvider, index: &Index, name: &str) -> Option<ExtAuthz> {
    let made = match (&provider.envoy_ext_authz_http, &provider.envoy_ext_authz_grpc) {
        (Some(declared), _) => by_http(declared, index)?,
        (None, Some(declared)) => by_grpc(declared, index)?,
        (None, None) => return None,
    };
    Some(ExtAuthz {
        filter_enabled_metadata: Some(matcher::MetadataMatcher {
            filter: "envoy.filters.http.rbac".to_owned(),
            path: vec![matcher::metadata_matcher::PathSegment {
                segment: Some(matcher::metadata_matcher::path_segment::Segment::Key(format!(
                    "{SHADOW_PREFIX}shadow_effective_policy_id"
                ))),
            }],
            value: Some(matcher::ValueMatcher {
                match_pattern: Some(matcher::value_matcher::MatchPattern::StringMatch(
                    matcher::StringMatcher {
                        match_pattern: Some(matcher::string_matcher::MatchPattern::Prefix(format!(
                            "{POLICY_PREFIX}-{name}-"
                        ))),
                        ignore_case: false,
                    },
                )),
            }),
            invert: false,
        }),
        transport_api_version: core::ApiVersion::V3 as i32,
        ..made
    })
}

fn by_http(declared: &ExtAuthzHttp, index: &Index) -> Option<ExtAuthz> {
    if !declared.path_prefix.is_empty() && !declared.path_prefix.starts_with('/') {
        return None;
    }
    let (cluster, host) = telemetry::cluster(index, &declared.service, declared.port);
    let listed = [declared.include_headers_in_check.as_slice(), &declared.include_request_headers_in_check];
    let added = declared.include_additional_headers_in_check.iter();
    let service = HttpService {
        server_uri: Some(core::HttpUri {
            uri: format!("http://{host}"),
            timeout: Some(proto::duration(declared.timeout.unwrap_or(TIMEOUT))),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(cluster)),
        }),
        path_prefix: declared.path_prefix.clone(),
        authorization_request: (added.len() > 0).then(|| AuthorizationRequest {
            headers_to_add: added
                .map(|(key, value)| core::HeaderValue {
                    key: key.clone(),
                    value: value.clone(),
                    ..core::HeaderValue::default()
                })
                .collect(),
            ..AuthorizationRequest::default()
        }),
        authorization_response: Some(AuthorizationResponse {
            allowed_upstream_headers: headers(&declared.headers_to_upstream_on_allow),
            allowed_client_headers: headers(&declared.headers_to_downstream_on_deny),
            allowed_client_headers_on_success: headers(&declared.headers_to_downstream_on_allow),
            ..AuthorizationResponse::default()
        }),
        ..HttpService::default()
    };
    Some(ExtAuthz {
        services: Some(Services::HttpService(service)),
        failure_mode_allow: declared.fail_open,
        status_on_error: Some(status(&declared.status_on_error)?),
        with_request_body: body(declared.include_request_body_in_check.as_ref()),
        clear_route_cache: declared.clear_route_cache.unwrap_or(false),
        allowed_headers: headers(&listed.concat()),
        ..ExtAuthz::default()
    })
}

fn by_grpc(declared: &ExtAuthzGrpc, index: &Index) -> Option<ExtAuthz> {
    let (cluster, authority) = telemetry::cluster(index, &declared.service, declared.port);
    let service = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
            core::grpc_service::EnvoyGrpc { cluster_name: cluster, authority, ..Default::default() },
        )),
        timeout: Some(proto::duration(declared.timeout.unwrap_or(TIMEOUT))),
        ..core::GrpcService::default()
    };
    Some(ExtAuthz {
        services: Some(Services::GrpcService(service)),
        failure_mode_allow: declared.fail_open,
        status_on_error: Some(status(&declared.status_on_error)?),
        with_request_body: body(declared.include_request_body_in_check.as_ref()),
        clear_route_cache: declared.clear_route_cache.unwrap_or(false),
        include_peer_certificate: true,
        ..ExtAuthz::default()
    })
}

/// The status of refusals when the provider fails; `None` for text that is no status.
fn status(declared: &str) -> Option<types::HttpStatus> {
    let code = if declared.is_empty() { 403 } else { declared.parse().ok()? };
    (200..=599).contains(&code).then_some(types::HttpStatus { code })
}

fn body(declared: Option<&ExtAuthzRequestBody>) -> Option<BufferSettings> {
    declared.map(|limit| BufferSettings {
        max_request_bytes: limit.max_request_bytes,
        allow_partial_message: limit.allow_partial_message,
        pack_as_bytes: limit.pack_as_bytes,
    })
}

/// Names of headers: `x*` by prefix, `*x` by suffix.
fn headers(names: &[String]) -> Option<matcher::ListStringMatcher> {
    use matcher::string_matcher::MatchPattern::{Exact, Prefix, Suffix};
    let pattern = |name: &String| match (name.strip_prefix('*'), name.strip_suffix('*')) {
        (Some(suffix), _) => Suffix(suffix.to_owned()),
        (None, Some(prefix)) => Prefix(prefix.to_owned()),
        (None, None) => Exact(name.clone()),
    };
    let patterns = names
        .iter()
        .map(|name| matcher::StringMatcher { match_pattern: Some(pattern(name)), ignore_case: true });
    (!names.is_empty()).then(|| matcher::ListStringMatcher { patterns: patterns.collect() })
}
