//! Matching one request header or query parameter (`HeaderMatcher`, `QueryParameterMatcher`).

use crate::http::headers::HeaderList;

use super::field::{FieldError, Within};
use super::matcher::{TextMatch, compile_regex};
use super::proto::route;

/// A compiled `HeaderMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatch {
    pub(crate) name: Box<[u8]>,
    rule: Rule,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Debug, Clone)]
enum Rule {
    Present(bool),
    Text(TextMatch),
    Range(i64, i64),
}

impl HeaderMatch {
    pub(crate) fn compile(from: &route::HeaderMatcher) -> Result<Self, FieldError> {
        use route::header_matcher::HeaderMatchSpecifier as Specifier;
        let bytes = |text: &String| text.clone().into_bytes().into_boxed_slice();
        if from.name.is_empty() {
            return Err(FieldError::new("name", "is missing"));
        }
        let rule = match from.header_match_specifier.as_ref() {
            None => Rule::Present(true),
            Some(Specifier::PresentMatch(present)) => Rule::Present(*present),
            Some(Specifier::ExactMatch(text)) => {
                Rule::Text(TextMatch::Exact { text: bytes(text), ignore_case: false })
            }
            Some(Specifier::PrefixMatch(text)) => {
                Rule::Text(TextMatch::Prefix { text: bytes(text), ignore_case: false })
            }
            Some(Specifier::SuffixMatch(text)) => {
                Rule::Text(TextMatch::Suffix { text: bytes(text), ignore_case: false })
            }
            Some(Specifier::ContainsMatch(text)) => {
                Rule::Text(TextMatch::Contains { text: bytes(text), ignore_case: false })
            }
            Some(Specifier::SafeRegexMatch(regex)) => {
                Rule::Text(TextMatch::Regex(compile_regex(&regex.regex).within("safe_regex_match")?))
            }
            Some(Specifier::StringMatch(text)) => {
                Rule::Text(TextMatch::compile(text).within("string_match")?)
            }
            Some(Specifier::RangeMatch(range)) => Rule::Range(range.start, range.end),
        };
        Ok(Self {
            name: from.name.to_ascii_lowercase().into_bytes().into(),
            rule,
            invert: from.invert_match,
            missing_is_empty: from.treat_missing_header_as_empty,
        })
    }

    /// Tests the header in `headers`; pseudo headers come from `pseudo`.
    pub(crate) fn matches<'h>(
        &self,
        headers: &'h HeaderList,
        pseudo: impl Fn(&[u8]) -> Option<&'h [u8]>,
    ) -> bool {
        if self.name.starts_with(b":") {
            return self.test_one(pseudo(&self.name));
        }
        let mut values = headers.get_all(&self.name);
        let Some(first) = values.next() else { return self.test_one(None) };
        match values.next() {
            None => self.test_one(Some(first)),
            Some(_) => self.test_many(headers),
        }
    }

    fn test_one(&self, value: Option<&[u8]>) -> bool {
        let value = if self.missing_is_empty { Some(value.unwrap_or_default()) } else { value };
        match (&self.rule, value) {
            (Rule::Present(wanted), value) => (value.is_some() == *wanted) != self.invert,
            // A missing header matches neither a rule nor, as Envoy has it, its inversion unless asked for.
            (_, None) => self.invert,
            (Rule::Text(text), Some(value)) => text.matches(value) != self.invert,
            (Rule::Range(start, end), Some(value)) => in_range(value, *start, *end) != self.invert,
        }
    }

    /// A repeated header is tested value by value and as the joined list, so that neither form slips past a rule.
    fn test_many(&self, headers: &HeaderList) -> bool {
        let hit = match &self.rule {
            Rule::Present(wanted) => *wanted,
            Rule::Text(text) => {
                let joined = headers.get_all(&self.name).collect::<Vec<_>>().join(b",".as_slice());
                text.matches(&joined) || headers.get_all(&self.name).any(|value| text.matches(value))
            }
            Rule::Range(start, end) => headers.get_all(&self.name).any(|value| in_range(value, *start, *end)),
        };
        hit != self.invert
    }
}

fn in_range(value: &[u8], start: i64, end: i64) -> bool {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .is_some_and(|number| (start..end).contains(&number))
}

/// A compiled `QueryParameterMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct QueryMatch {
    name: Box<[u8]>,
    rule: Option<TextMatch>,
    present: bool,
}

impl QueryMatch {
    pub(crate) fn compile(from: &route::QueryParameterMatcher) -> Result<Self, FieldError> {
        use route::query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
        let (rule, present) = match from.query_parameter_match_specifier.as_ref() {
            None => (None, true),
            Some(Specifier::PresentMatch(present)) => (None, *present),
            Some(Specifier::StringMatch(text)) => {
                (Some(TextMatch::compile(text).within("string_match")?), true)
            }
        };
        Ok(Self { name: from.name.clone().into_bytes().into(), rule, present })
    }

    /// Tests the first parameter of that name in a query string (without `?`).
    pub(crate) fn matches(&self, query: &[u8]) -> bool {
        let value = query.split(|byte| *byte == b'&').find_map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            (parts.next()? == &*self.name).then(|| parts.next().unwrap_or_default())
        });
        match (&self.rule, value) {
            (None, value) => value.is_some() == self.present,
            (Some(rule), Some(value)) => rule.matches(value),
            (Some(_), None) => false,
        }
    }
}
