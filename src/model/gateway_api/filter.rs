//! Filters of routes as fields of VirtualServices.

use sagene_api::gateway_api::http_route::{
    HeaderModifier, PathModifier, RequestRedirect, RouteFilter, UrlRewrite,
};
use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::{
    HeaderOperations, Headers, HttpMatchRequest, HttpMirrorPolicy, HttpRedirect, HttpRewrite, HttpRoute,
    RedirectPortSelection, RegexRewrite,
};
use sagene_api::istio::types::StringMatch;

use super::backend::{BackendProblem, UNSUPPORTED, destination};
use super::cors;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// Puts filters into a route with this one condition; what is wrong with the first that cannot be.
pub(super) fn apply(
    snapshot: &Snapshot,
    mesh: &Mesh,
    place: (&str, &str),
    filters: &[RouteFilter],
    made: &mut HttpRoute,
) -> Result<(), BackendProblem> {
    let condition = made.r#match.first().cloned().unwrap_or_default();
    for filter in filters {
        match filter.r#type.as_str() {
            "RequestHeaderModifier" | "ResponseHeaderModifier" => {
                add_headers(made.headers.get_or_insert_default(), filter);
            }
            "RequestRedirect" => {
                made.redirect =
                    filter.request_redirect.as_ref().map(|one| Box::new(redirect(one, &condition)));
            }
            "URLRewrite" => {
                made.rewrite = filter.url_rewrite.as_ref().map(|one| Box::new(rewrite(one, &condition)));
            }
            "RequestMirror" => {
                let Some(mirror) = &filter.request_mirror else { continue };
                let backend = sagene_api::gateway_api::http_route::RouteBackend {
                    group: mirror.backend_ref.group.clone(),
                    kind: mirror.backend_ref.kind.clone(),
                    namespace: mirror.backend_ref.namespace.clone(),
                    name: mirror.backend_ref.name.clone(),
                    port: mirror.backend_ref.port,
                    ..Default::default()
                };
                let share = mirror.percent.map(f64::from).or_else(|| {
                    let fraction = mirror.fraction.as_ref()?;
                    let whole = f64::from(fraction.denominator.unwrap_or(100).max(1));
                    Some(f64::from(fraction.numerator) * 100.0 / whole)
                });
                made.mirrors.push(HttpMirrorPolicy {
                    destination: destination(snapshot, mesh, place, &backend)?,
                    percentage: share.map(|value| Percent { value }),
                });
            }
            "CORS" => {
                made.cors_policy = filter.cors.as_ref().map(|one| Box::new(cors::policy(one)));
            }
            other => return Err((UNSUPPORTED, format!("filter {other} is not served"))),
        }
    }
    Ok(())
}

/// The header changes among filters, for a single destination; nothing else can be done for one alone.
pub(super) fn headers(filters: &[RouteFilter]) -> Result<Option<Headers>, BackendProblem> {
    let mut made = Headers::default();
    for filter in filters {
        match filter.r#type.as_str() {
            "RequestHeaderModifier" | "ResponseHeaderModifier" => add_headers(&mut made, filter),
            other => return Err((UNSUPPORTED, format!("filter {other} is not served in backendRefs"))),
        }
    }
    Ok((made != Headers::default()).then_some(made))
}

fn add_headers(made: &mut Headers, filter: &RouteFilter) {
    if let Some(modifier) = &filter.request_header_modifier {
        operations(made.request.get_or_insert_default(), modifier);
    }
    if let Some(modifier) = &filter.response_header_modifier {
        operations(made.response.get_or_insert_default(), modifier);
    }
}

fn operations(made: &mut HeaderOperations, modifier: &HeaderModifier) {
    made.set.extend(modifier.set.iter().map(|one| (one.name.clone(), one.value.clone())));
    made.add.extend(modifier.add.iter().map(|one| (one.name.clone(), one.value.clone())));
    made.remove.extend(modifier.remove.iter().cloned());
}

fn redirect(wanted: &RequestRedirect, condition: &HttpMatchRequest) -> HttpRedirect {
    let mut made = HttpRedirect {
        scheme: wanted.scheme.clone(),
        authority: wanted.hostname.clone(),
        redirect_code: wanted.status_code.unwrap_or(302),
        port: wanted.port.map(u32::from),
        ..HttpRedirect::default()
    };
    if made.port.is_none() {
        made.derive_port = Some(if wanted.scheme.is_empty() {
            RedirectPortSelection::FromRequestPort
        } else {
            RedirectPortSelection::FromProtocolDefault
        });
    }
    match &wanted.path {
        Some(PathModifier { replace_full_path: Some(path), .. }) => made.uri.clone_from(path),
        Some(PathModifier { replace_prefix_match: Some(prefix), .. }) => {
            made.prefix_rewrite = match matched_prefix(condition) {
                // Without a trailing slash of the match, `/` would leave two.
                Some(matched) if prefix.is_empty() && matched != "/" => "/".to_owned(),
                _ => prefix.clone(),
            };
        }
        _ => {}
    }
    made
}

fn rewrite(wanted: &UrlRewrite, condition: &HttpMatchRequest) -> HttpRewrite {
    let mut made = HttpRewrite { authority: wanted.hostname.clone(), ..HttpRewrite::default() };
    match &wanted.path {
        Some(PathModifier { replace_full_path: Some(path), .. }) => {
            made.uri_regex_rewrite = Some(RegexRewrite { r#match: "/.*".to_owned(), rewrite: path.clone() });
        }
        Some(PathModifier { replace_prefix_match: Some(prefix), .. }) => {
            match matched_prefix(condition).map(|matched| matched.trim_end_matches('/')) {
                // A prefix that becomes `/` must take its slash along.
                Some(matched) if prefix.trim_end_matches('/').is_empty() && !matched.is_empty() => {
                    made.uri_regex_rewrite = Some(RegexRewrite {
                        r#match: format!("^{}(/?)(.*)", regex_quoted(matched)),
                        rewrite: "/\\2".to_owned(),
                    });
                }
                _ => made.uri.clone_from(prefix),
            }
        }
        _ => {}
    }
    made
}

fn matched_prefix(condition: &HttpMatchRequest) -> Option<&str> {
    match &condition.uri {
        Some(StringMatch::Prefix(prefix)) => Some(prefix),
        None => Some("/"),
        _ => None,
    }
}

fn regex_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_ascii_alphanumeric() && !matches!(character, '/' | '-' | '_') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}
