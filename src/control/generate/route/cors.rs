//! Cross-origin resource sharing.

use sagene_api::istio::networking::virtual_service::{CorsPolicy as Declared, UnmatchedPreflights};
use sagene_api::istio::types::StringMatch;

use super::super::proto::matcher::{StringMatcher, string_matcher::MatchPattern};
use super::super::proto::{Any, any, boolean, core, exact, http, regex, string_matcher, types};
use http::cors::v3::CorsPolicy;

/// The CORS filter's configuration for a route.
pub(super) fn cors(declared: &Declared) -> Any {
    let deprecated = declared.allow_origin.iter().map(|origin| exact(origin));
    let join = |list: &[String]| list.join(",");
    any(&CorsPolicy {
        allow_origin_string_match: declared.allow_origins.iter().map(origin).chain(deprecated).collect(),
        allow_methods: join(&declared.allow_methods),
        allow_headers: join(&declared.allow_headers),
        expose_headers: join(&declared.expose_headers),
        max_age: declared.max_age.map(|age| age.seconds().to_string()).unwrap_or_default(),
        allow_credentials: declared.allow_credentials.and_then(boolean),
        forward_not_matching_preflights: boolean(
            declared.unmatched_preflights != UnmatchedPreflights::Ignore,
        ),
        filter_enabled: Some(core::RuntimeFractionalPercent {
            default_value: Some(types::FractionalPercent { numerator: 100, denominator: 0 }),
            runtime_key: String::new(),
        }),
        ..CorsPolicy::default()
    })
}

fn origin(wanted: &StringMatch) -> StringMatcher {
    match wanted {
        StringMatch::Exact(text) => exact(text),
        StringMatch::Prefix(text) => string_matcher(MatchPattern::Prefix(text.clone())),
        StringMatch::Regex(text) => string_matcher(MatchPattern::SafeRegex(regex(text))),
        StringMatch::Empty => string_matcher(MatchPattern::Prefix(String::new())),
    }
}
