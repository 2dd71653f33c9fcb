//! Matching subject alternative names.

use super::field::{FieldError, Within};
use super::matcher::TextMatch;
use super::proto::tls;

/// A compiled `SubjectAltNameMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct SanMatch {
    uri: bool,
    rule: TextMatch,
    /// The text of an exact rule, for wildcard names of DNS certificates.
    exact: Option<String>,
}

impl SanMatch {
    pub(crate) fn compile(from: &tls::SubjectAltNameMatcher) -> Result<Self, FieldError> {
        use super::proto::matcher::string_matcher::MatchPattern;
        use tls::subject_alt_name_matcher::SanType;
        let uri = match from.san_type() {
            SanType::Uri => true,
            SanType::Dns => false,
            other => {
                return Err(FieldError::new(
                    "san_type",
                    format!("{} is not supported; known: URI, DNS", other.as_str_name()),
                ));
            }
        };
        let matcher = from.matcher.as_ref().ok_or_else(|| FieldError::new("matcher", "is missing"))?;
        let exact = match &matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => Some(text.to_ascii_lowercase()),
            _ => None,
        };
        Ok(Self { uri, rule: TextMatch::compile(matcher).within("matcher")?, exact })
    }

    /// Whether one of the names of the right kind matches. A wildcard in a certificate spans one label only.
    pub(crate) fn accepts(&self, uris: &[String], dns: &[String]) -> bool {
        if self.uri {
            return uris.iter().any(|uri| self.rule.matches(uri.as_bytes()));
        }
        dns.iter().any(|name| match (name.strip_prefix("*."), &self.exact) {
            (Some(suffix), Some(wanted)) => wanted
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix)),
            _ => self.rule.matches(name.as_bytes()),
        })
    }
}
