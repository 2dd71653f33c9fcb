//! What happens to requests that match: forward, redirect, answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sagene_api::Duration;
use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::{
    HttpDirectResponse, HttpRedirect, HttpRewrite, HttpRoute, HttpRouteDestination, RedirectPortSelection,
};

use super::super::proto::{core, duration, fraction, matcher, regex, route, uint};
use super::destination::{cluster_name, hash_policy};
use super::headers::HeaderChanges;
use super::retry::retry_policy;
use crate::generate::Settings;
use crate::index::view::View;
use route::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
use route::route::Action;
use route::route_action::{ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy};
use route::weighted_cluster::{ClusterWeight, cluster_weight};

/// Where routes are generated for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) view: &'a View,
    pub(super) settings: &'a Settings,
    /// Port that clients connect to.
    pub(super) port: u16,
}

/// The action of a route whose match is `matched`; `None` where it leads nowhere.
pub(super) fn action(place: Place<'_>, declared: &HttpRoute, matched: &route::RouteMatch) -> Option<Action> {
    if let Some(redirect) = &declared.redirect {
        return Some(Action::Redirect(redirected(place, redirect)));
    }
    if let Some(response) = &declared.direct_response {
        return Some(Action::DirectResponse(direct_response(response)));
    }
    forward(place, declared, matched).map(Action::Route)
}

fn forward(
    place: Place<'_>,
    declared: &HttpRoute,
    matched: &route::RouteMatch,
) -> Option<route::RouteAction> {
    let timeout = duration(declared.timeout.unwrap_or(Duration::ZERO));
    let hash_policy = declared
        .route
        .iter()
        .flat_map(|weighted| hash_policy(place.view, &weighted.destination, place.port))
        .collect::<Vec<_>>();
    let retries = declared.retries.as_deref().or(place.settings.default_http_retry_policy.as_ref());
    let mut made = route::RouteAction {
        cluster_specifier: Some(clusters(place, &declared.route)?),
        timeout: Some(timeout),
        retry_policy: retry_policy(retries, !hash_policy.is_empty()),
        request_mirror_policies: mirrors(place, declared),
        hash_policy: deduplicated(hash_policy),
        ..route::RouteAction::default()
    };
    limit_grpc(&mut made, timeout);
    if let Some(rewrite) = &declared.rewrite {
        rewritten(&mut made, rewrite, matched);
    }
    let authority = HeaderChanges::of(declared.headers.as_deref()).authority;
    if let Some(authority) = authority.filter(|_| made.host_rewrite_specifier.is_none()) {
        made.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(authority));
    }
    Some(made)
}

/// The timeout a gRPC client asks for is honored up to the route's own.
#[allow(deprecated, reason = "Istio writes this field, and its tools show it")]
pub(super) fn limit_grpc(made: &mut route::RouteAction, timeout: super::super::proto::Duration) {
    made.max_grpc_timeout = Some(timeout);
}

fn deduplicated(policies: Vec<route::route_action::HashPolicy>) -> Vec<route::route_action::HashPolicy> {
    let mut kept: Vec<route::route_action::HashPolicy> = Vec::new();
    for policy in policies {
        if !kept.contains(&policy) {
            kept.push(policy);
        }
    }
    kept
}

fn clusters(place: Place<'_>, destinations: &[HttpRouteDestination]) -> Option<ClusterSpecifier> {
    if let [only] = destinations
        && only.headers.is_none()
    {
        return Some(ClusterSpecifier::Cluster(cluster_name(place.view, &only.destination, place.port)));
    }
    let weight = |weighted: &HttpRouteDestination| match destinations.len() {
        1 => 100,
        _ => u32::try_from(weighted.weight).unwrap_or(0),
    };
    let clusters: Vec<ClusterWeight> = destinations
        .iter()
        .filter(|weighted| weight(weighted) > 0)
        .map(|weighted| {
            let changes = HeaderChanges::of(weighted.headers.as_deref());
            ClusterWeight {
                name: cluster_name(place.view, &weighted.destination, place.port),
                weight: uint(weight(weighted)),
                request_headers_to_add: changes.request_add,
                request_headers_to_remove: changes.request_remove,
                response_headers_to_add: changes.response_add,
                response_headers_to_remove: changes.response_remove,
                host_rewrite_specifier: changes
                    .authority
                    .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
                ..ClusterWeight::default()
            }
        })
        .collect();
    match clusters.as_slice() {
        [] => None,
        _ => Some(ClusterSpecifier::WeightedClusters(route::WeightedCluster {
            clusters,
            ..route::WeightedCluster::default()
        })),
    }
}

fn mirrors(place: Place<'_>, declared: &HttpRoute) -> Vec<RequestMirrorPolicy> {
    let policy = |destination, percent: Option<f64>| {
        let percent = percent.unwrap_or(100.0);
        (percent > 0.0).then(|| RequestMirrorPolicy {
            cluster: cluster_name(place.view, destination, place.port),
            runtime_fraction: Some(core::RuntimeFractionalPercent {
                default_value: Some(fraction(percent)),
                runtime_key: String::new(),
            }),
            ..RequestMirrorPolicy::default()
        })
    };
    let value = |percent: &Option<Percent>| percent.as_ref().map(|percent| percent.value);
    let whole = declared.mirror_percent.or(declared.mirror_percent_snake).map(f64::from);
    let single = declared
        .mirror
        .iter()
        .filter_map(|destination| policy(destination, value(&declared.mirror_percentage).or(whole)));
    let several = declared.mirrors.iter().filter_map(|one| policy(&one.destination, value(&one.percentage)));
    single.chain(several).collect()
}

fn rewritten(made: &mut route::RouteAction, rewrite: &HttpRewrite, matched: &route::RouteMatch) {
    use route::route_match::PathSpecifier;
    if !rewrite.authority.is_empty() {
        made.host_rewrite_specifier =
            Some(HostRewriteSpecifier::HostRewriteLiteral(rewrite.authority.clone()));
    }
    if let Some(by_regex) = &rewrite.uri_regex_rewrite {
        made.regex_rewrite = Some(matcher::RegexMatchAndSubstitute {
            pattern: Some(regex(&by_regex.r#match)),
            substitution: by_regex.rewrite.clone(),
        });
    } else if rewrite.uri.is_empty() {
    } else if let Some(PathSpecifier::SafeRegex(pattern)) = &matched.path_specifier {
        made.regex_rewrite = Some(matcher::RegexMatchAndSubstitute {
            pattern: Some(pattern.clone()),
            substitution: rewrite.uri.clone(),
        });
    } else {
        made.prefix_rewrite.clone_from(&rewrite.uri);
    }
}

fn redirected(place: Place<'_>, declared: &HttpRedirect) -> route::RedirectAction {
    use route::redirect_action::RedirectResponseCode::{
        Found, MovedPermanently, PermanentRedirect, SeeOther, TemporaryRedirect,
    };
    let code = match declared.redirect_code {
        302 => Found,
        303 => SeeOther,
        307 => TemporaryRedirect,
        308 => PermanentRedirect,
        _ => MovedPermanently,
    };
    let derived = match declared.derive_port {
        Some(RedirectPortSelection::FromRequestPort) => Some(u32::from(place.port)),
        // The proxy leaves the port out of its own accord where the scheme changes.
        Some(RedirectPortSelection::FromProtocolDefault) | None => None,
    };
    let path = if !declared.uri.is_empty() {
        Some(PathRewriteSpecifier::PathRedirect(declared.uri.clone()))
    } else if !declared.prefix_rewrite.is_empty() {
        Some(PathRewriteSpecifier::PrefixRewrite(declared.prefix_rewrite.clone()))
    } else {
        None
    };
    route::RedirectAction {
        host_redirect: declared.authority.clone(),
        port_redirect: declared.port.or(derived).unwrap_or(0),
        response_code: code as i32,
        scheme_rewrite_specifier: (!declared.scheme.is_empty())
            .then(|| SchemeRewriteSpecifier::SchemeRedirect(declared.scheme.clone())),
        path_rewrite_specifier: path,
        ..route::RedirectAction::default()
    }
}

fn direct_response(declared: &HttpDirectResponse) -> route::DirectResponseAction {
    use core::data_source::Specifier;
    let body = declared.body.as_ref().and_then(|body| match (&body.string, &body.bytes) {
        (Some(text), _) => Some(Specifier::InlineString(text.clone())),
        // What is no base64 was refused when the object was written.
        (None, Some(encoded)) => STANDARD.decode(encoded).ok().map(Specifier::InlineBytes),
        (None, None) => None,
    });
    route::DirectResponseAction {
        status: declared.status,
        body: body.map(|specifier| core::DataSource { specifier: Some(specifier), ..Default::default() }),
        ..route::DirectResponseAction::default()
    }
}
