//! Conditions of a route.

use sagene_api::istio::networking::virtual_service::HttpMatchRequest;
use sagene_api::istio::types::StringMatch;

use super::super::proto::matcher::string_matcher::MatchPattern;
use super::super::proto::{boolean, regex, route, string_matcher};
use super::super::transport::regex_matcher;
use super::claims;
use route::header_matcher::HeaderMatchSpecifier;
use route::query_parameter_matcher::QueryParameterMatchSpecifier;
use route::route_match::PathSpecifier;

/// Matches every path.
pub(super) fn everything() -> route::RouteMatch {
    route::RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() }
}

/// The Envoy form of a condition; ports, gateways, source labels and namespaces are settled before.
///
/// By segments, a prefix `/foo` holds for `/foo` and `/foo/bar`, not for `/foobar`: the Gateway API's way.
pub(super) fn route_match(condition: &HttpMatchRequest, by_segments: bool) -> route::RouteMatch {
    let mut made = everything();
    match &condition.uri {
        Some(StringMatch::Prefix(prefix)) if by_segments && prefix != "/" => {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
            made.path_specifier = Some(PathSpecifier::PathSeparatedPrefix(prefix));
        }
        Some(StringMatch::Exact(path)) => made.path_specifier = Some(PathSpecifier::Path(path.clone())),
        Some(StringMatch::Prefix(prefix)) => {
            made.path_specifier = Some(PathSpecifier::Prefix(prefix.clone()));
        }
        Some(StringMatch::Regex(expression)) => {
            made.path_specifier = Some(PathSpecifier::SafeRegex(regex(expression)));
        }
        Some(StringMatch::Empty) | None => {}
    }
    if condition.ignore_uri_case {
        made.case_sensitive = boolean(false);
    }
    let pseudo = [
        (":method", &condition.method),
        (":authority", &condition.authority),
        (":scheme", &condition.scheme),
    ];
    for (name, wanted) in pseudo {
        made.headers.extend(wanted.as_ref().map(|wanted| header(name, wanted, false)));
    }
    let with = condition.headers.iter().map(|(name, wanted)| (name, wanted, false));
    let without = condition.without_headers.iter().map(|(name, wanted)| (name, wanted, true));
    for (name, wanted, invert) in with.chain(without) {
        match claims::path(name) {
            Some(path) => {
                let pattern = pattern(wanted).unwrap_or_else(|| MatchPattern::SafeRegex(regex(".+")));
                made.dynamic_metadata.push(claims::condition(&path, string_matcher(pattern), invert));
            }
            None => made.headers.push(header(name, wanted, invert)),
        }
    }
    made.query_parameters =
        condition.query_params.iter().map(|(name, wanted)| query_parameter(name, wanted)).collect();
    made
}

/// The pattern of a match; `None` for presence.
fn pattern(wanted: &StringMatch) -> Option<MatchPattern> {
    match wanted {
        StringMatch::Empty => None,
        StringMatch::Exact(text) => Some(MatchPattern::Exact(text.clone())),
        StringMatch::Prefix(text) => Some(MatchPattern::Prefix(text.clone())),
        StringMatch::Regex(text) => Some(MatchPattern::SafeRegex(regex(text))),
    }
}

/// A condition on a header. One that must not match holds where the header is missing.
fn header(name: &str, wanted: &StringMatch, invert: bool) -> route::HeaderMatcher {
    let specifier = match pattern(wanted) {
        None => HeaderMatchSpecifier::PresentMatch(true),
        // Istio's way to ask for presence.
        Some(MatchPattern::SafeRegex(expression)) if expression.regex == "*" => {
            HeaderMatchSpecifier::PresentMatch(true)
        }
        Some(pattern) => HeaderMatchSpecifier::StringMatch(string_matcher(pattern)),
    };
    route::HeaderMatcher {
        name: name.to_owned(),
        invert_match: invert,
        header_match_specifier: Some(specifier),
        ..route::HeaderMatcher::default()
    }
}

fn query_parameter(name: &str, wanted: &StringMatch) -> route::QueryParameterMatcher {
    let specifier = match wanted {
        StringMatch::Empty => QueryParameterMatchSpecifier::PresentMatch(true),
        StringMatch::Regex(expression) => {
            QueryParameterMatchSpecifier::StringMatch(regex_matcher(expression))
        }
        StringMatch::Exact(text) => {
            QueryParameterMatchSpecifier::StringMatch(string_matcher(MatchPattern::Exact(text.clone())))
        }
        StringMatch::Prefix(text) => {
            QueryParameterMatchSpecifier::StringMatch(string_matcher(MatchPattern::Prefix(text.clone())))
        }
    };
    route::QueryParameterMatcher { name: name.to_owned(), query_parameter_match_specifier: Some(specifier) }
}

/// True where a route with this match leaves nothing for those behind it.
pub(super) fn is_catch_all(made: &route::RouteMatch) -> bool {
    let any_path = match &made.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => prefix == "/",
        Some(PathSpecifier::SafeRegex(expression)) => matches!(expression.regex.as_str(), "*" | ".*"),
        _ => false,
    };
    any_path
        && made.headers.is_empty()
        && made.query_parameters.is_empty()
        && made.dynamic_metadata.is_empty()
}
