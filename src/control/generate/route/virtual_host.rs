//! Virtual hosts: the routes of one host.

use sagene_api::istio::networking::virtual_service::{HttpMatchRequest, HttpRoute};
use sagene_model::gateway_api::{GATEWAY_SEMANTICS, ROUTE_SEMANTICS};
use sagene_model::labels::has_all;
use sagene_model::virtual_service::Resolved;

use super::super::names;
use super::super::proto::{config_path, core, duration, istio_metadata, route, text};
use super::action::{Place, action, limit_grpc};
use super::headers::HeaderChanges;
use super::matching::{everything, is_catch_all, route_match};
use super::retry::retry_policy;
use super::{cors, fault};
use route::route::Action;
use route::route_action::ClusterSpecifier;

/// Who asks for the routes of a VirtualService, and by which way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) place: Place<'a>,
    /// `mesh`, or the gateways as `namespace/name`.
    pub(super) gateways: &'a [String],
}

/// A virtual host with the settings all have.
pub(super) fn virtual_host(
    name: String,
    domains: Vec<String>,
    routes: Vec<route::Route>,
) -> route::VirtualHost {
    route::VirtualHost {
        name,
        domains,
        routes,
        include_request_attempt_count: true,
        ..route::VirtualHost::default()
    }
}

/// The routes of a VirtualService for those who ask, in order; what stands behind a catch-all is left out.
pub(super) fn routes(asking: Asking<'_>, resolved: &Resolved) -> Vec<route::Route> {
    let mut made = Vec::new();
    for declared in &resolved.http {
        if declared.r#match.is_empty() {
            made.extend(one_route(asking.place, resolved, declared, None));
        }
        for condition in declared.r#match.iter().filter(|condition| applies(asking, condition)) {
            made.extend(one_route(asking.place, resolved, declared, Some(condition)));
        }
        if made.iter().any(leaves_nothing) {
            let last = made.iter().position(leaves_nothing).unwrap_or(made.len());
            made.truncate(last + 1);
            break;
        }
    }
    made
}

/// True for a route behind which no other can be reached.
pub(super) fn leaves_nothing(made: &route::Route) -> bool {
    made.r#match.as_ref().is_some_and(is_catch_all)
}

/// True where a condition can hold for those who ask: by port, gateway and client.
fn applies(asking: Asking<'_>, condition: &HttpMatchRequest) -> bool {
    let key = &asking.place.view.key;
    (condition.port == 0 || condition.port == u32::from(asking.place.port))
        && (condition.gateways.is_empty()
            || condition.gateways.iter().any(|gateway| asking.gateways.contains(gateway)))
        && has_all(&key.labels, &condition.source_labels)
        && (condition.source_namespace.is_empty() || condition.source_namespace == key.namespace)
}

fn one_route(
    place: Place<'_>,
    resolved: &Resolved,
    declared: &HttpRoute,
    condition: Option<&HttpMatchRequest>,
) -> Option<route::Route> {
    let by_segments = resolved.source.metadata.annotations.get(ROUTE_SEMANTICS).map(String::as_str)
        == Some(GATEWAY_SEMANTICS);
    let matched = condition.map_or_else(everything, |condition| route_match(condition, by_segments));
    let action = action(place, declared, &matched)?;
    let changes = HeaderChanges::of(declared.headers.as_deref());
    let mut made = route::Route {
        name: route_name(declared, condition),
        metadata: Some(source_metadata(resolved)),
        request_headers_to_add: changes.request_add,
        request_headers_to_remove: changes.request_remove,
        response_headers_to_add: changes.response_add,
        response_headers_to_remove: changes.response_remove,
        stat_prefix: condition.map(|condition| condition.stat_prefix.clone()).unwrap_or_default(),
        ..route::Route::default()
    };
    if let Action::Route(forwarded) = &action {
        let operation = operation(forwarded, &matched, resolved, place.port);
        made.decorator = Some(route::Decorator { operation, propagate: None });
    }
    if let Some(injected) = declared.fault.as_deref().and_then(fault::fault) {
        made.typed_per_filter_config.insert("envoy.filters.http.fault".to_owned(), injected);
    }
    if let Some(policy) = &declared.cors_policy {
        made.typed_per_filter_config.insert("envoy.filters.http.cors".to_owned(), cors::cors(policy));
    }
    made.r#match = Some(matched);
    made.action = Some(action);
    Some(made)
}

fn route_name(declared: &HttpRoute, condition: Option<&HttpMatchRequest>) -> String {
    match condition.map(|condition| condition.name.as_str()).unwrap_or_default() {
        "" => declared.name.clone(),
        name => format!("{}.{name}", declared.name),
    }
}

/// Where a route comes from.
pub(super) fn source_metadata(resolved: &Resolved) -> core::Metadata {
    let metadata = &resolved.source.metadata;
    let path = config_path("virtual-service", &metadata.namespace, &metadata.name);
    istio_metadata([("config", text(&path))])
}

/// Name of the operation in traces: destination, port and path; of several destinations, the VirtualService stands for them.
fn operation(
    forwarded: &route::RouteAction,
    matched: &route::RouteMatch,
    resolved: &Resolved,
    port: u16,
) -> String {
    use route::route_match::PathSpecifier;
    let path = match &matched.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => format!("{prefix}/*"),
        Some(PathSpecifier::Path(path)) => path.clone(),
        Some(PathSpecifier::SafeRegex(expression)) => expression.regex.clone(),
        _ => String::new(),
    };
    let single = match &forwarded.cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => names::parse_outbound(cluster),
        _ => None,
    };
    match single {
        Some((port, _, host)) => format!("{host}:{port}{path}"),
        None => format!("{}:{port}{path}", resolved.source.metadata.name),
    }
}

/// The route that every service without a VirtualService has.
pub(super) fn default_route(
    place: Place<'_>,
    host: &str,
    cluster: String,
    hash: Vec<route::route_action::HashPolicy>,
) -> route::Route {
    let retries = place.settings.default_http_retry_policy.as_ref();
    let mut forwarded = route::RouteAction {
        timeout: Some(duration(sagene_api::Duration::ZERO)),
        retry_policy: retry_policy(retries, !hash.is_empty()),
        hash_policy: hash,
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster)),
        ..route::RouteAction::default()
    };
    limit_grpc(&mut forwarded, duration(sagene_api::Duration::ZERO));
    route::Route {
        name: "default".to_owned(),
        r#match: Some(everything()),
        decorator: Some(route::Decorator { operation: format!("{host}:{}/*", place.port), propagate: None }),
        action: Some(Action::Route(forwarded)),
        ..route::Route::default()
    }
}
