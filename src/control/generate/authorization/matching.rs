//! Texts of policies: exact, `prefix*`, `*suffix`, `*` for anything present.

use super::super::proto::matcher::string_matcher::MatchPattern;
use super::super::proto::matcher::{
    ListMatcher, MetadataMatcher, StringMatcher, ValueMatcher, list_matcher, metadata_matcher, value_matcher,
};
use super::super::proto::{regex, string_matcher};

/// The matcher of a value, with `scheme` put before it where its beginning is given.
pub(super) fn generic(value: &str, scheme: &str) -> StringMatcher {
    string_matcher(match value {
        "*" => MatchPattern::SafeRegex(regex(".+")),
        value => match (value.strip_prefix('*'), value.strip_suffix('*')) {
            (Some(suffix), _) => MatchPattern::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => MatchPattern::Prefix(format!("{scheme}{prefix}")),
            (None, None) => MatchPattern::Exact(format!("{scheme}{value}")),
        },
    })
}

/// The matcher of a regular expression.
pub(super) fn expression(text: &str) -> StringMatcher {
    string_matcher(MatchPattern::SafeRegex(regex(text)))
}

/// The same for any case of letters. Envoy refuses that of an expression, where it would have no effect.
pub(super) fn any_case(wanted: StringMatcher) -> StringMatcher {
    let ignore_case = !matches!(wanted.match_pattern, Some(MatchPattern::SafeRegex(_)));
    StringMatcher { ignore_case, ..wanted }
}

/// A value as part of a regular expression: `*` is any text, everything else itself.
pub(super) fn escaped(value: &str) -> String {
    let mut made = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '*' => made.push_str(".*"),
            character if character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '/') => {
                made.push(character);
            }
            character if character.is_ascii() => {
                made.push('\\');
                made.push(character);
            }
            character => made.push(character),
        }
    }
    made
}

/// A claim of the token that was verified; `list` where the claim may be a list.
pub(super) fn claim(path: &[&str], value: StringMatcher, list: bool) -> MetadataMatcher {
    let segment = |key: &str| metadata_matcher::PathSegment {
        segment: Some(metadata_matcher::path_segment::Segment::Key(key.to_owned())),
    };
    let text = ValueMatcher { match_pattern: Some(value_matcher::MatchPattern::StringMatch(value)) };
    let wanted = if list {
        let one_of = list_matcher::MatchPattern::OneOf(Box::new(text));
        ValueMatcher {
            match_pattern: Some(value_matcher::MatchPattern::ListMatch(Box::new(ListMatcher {
                match_pattern: Some(one_of),
            }))),
        }
    } else {
        text
    };
    MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".to_owned(),
        path: std::iter::once("payload").chain(path.iter().copied()).map(segment).collect(),
        value: Some(wanted),
        invert: false,
    }
}
