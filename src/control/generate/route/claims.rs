//! Conditions of routes on claims of verified tokens: `@request.auth.claims.a.b` or `@request.auth.claims[a][b]` among headers.

use super::super::proto::matcher::{
    ListMatcher, MetadataMatcher, OrMatcher, StringMatcher, ValueMatcher, list_matcher, metadata_matcher,
    value_matcher,
};

const PREFIX: &str = "@request.auth.claims";

/// The path of claims that a header name means; `None` for names of headers.
pub(super) fn path(name: &str) -> Option<Vec<&str>> {
    let rest = name.strip_prefix(PREFIX)?;
    let path: Vec<&str> = match (rest.strip_prefix('['), rest.strip_prefix('.')) {
        (Some(bracketed), _) => bracketed.strip_suffix(']')?.split("][").collect(),
        (None, Some(dotted)) => dotted.split('.').collect(),
        (None, None) => return None,
    };
    path.iter().all(|key| !key.is_empty()).then_some(path)
}

/// Holds where the claim is this text, or a list with it.
pub(super) fn condition(path: &[&str], wanted: StringMatcher, invert: bool) -> MetadataMatcher {
    let segment = |key: &str| metadata_matcher::PathSegment {
        segment: Some(metadata_matcher::path_segment::Segment::Key(key.to_owned())),
    };
    let of = |pattern| ValueMatcher { match_pattern: Some(pattern) };
    let text = of(value_matcher::MatchPattern::StringMatch(wanted));
    let one_of = list_matcher::MatchPattern::OneOf(Box::new(text.clone()));
    let list =
        of(value_matcher::MatchPattern::ListMatch(Box::new(ListMatcher { match_pattern: Some(one_of) })));
    MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".to_owned(),
        path: std::iter::once("payload").chain(path.iter().copied()).map(segment).collect(),
        value: Some(of(value_matcher::MatchPattern::OrMatch(OrMatcher { value_matchers: vec![text, list] }))),
        invert,
    }
}
