//! Matching subject alternative names.

use super::field::{FieldError, Within};
use super::matcher::TextMatch;
use super::proto::tls;
use crate::http::info::TlsPeer;

/// A compiled `SubjectAltNameMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct SanMatch {
    kind: Kind,
    rule: TextMatch,
    /// The text of an exact rule, for wildcard names of DNS certificates.
    exact: Option<String>,
}

/// Kinds of names that are read from certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uri,
    Dns,
    Email,
    Address,
}

impl SanMatch {
    pub(crate) fn compile(from: &tls::SubjectAltNameMatcher) -> Result<Self, FieldError> {
        use super::proto::matcher::string_matcher::MatchPattern;
        use tls::subject_alt_name_matcher::SanType;
        let kind = match from.san_type() {
            SanType::Uri => Kind::Uri,
            SanType::Dns => Kind::Dns,
            SanType::Email => Kind::Email,
            SanType::IpAddress => Kind::Address,
            other => {
                return Err(FieldError::new(
                    "san_type",
                    format!("{} is not supported; known: URI, DNS, EMAIL, IP_ADDRESS", other.as_str_name()),
                ));
            }
        };
        let matcher = from.matcher.as_ref().ok_or_else(|| FieldError::new("matcher", "is missing"))?;
        let exact = match &matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => Some(text.to_ascii_lowercase()),
            _ => None,
        };
        Ok(Self { kind, rule: TextMatch::compile(matcher).within("matcher")?, exact })
    }

    /// Whether one of the names of the right kind matches. A wildcard in a certificate spans one label only.
    pub(crate) fn accepts(&self, peer: &TlsPeer) -> bool {
        let names = match self.kind {
            Kind::Uri => &peer.uris,
            Kind::Email => &peer.emails,
            Kind::Address => &peer.addresses,
            Kind::Dns => return self.accepts_host(&peer.dns),
        };
        names.iter().any(|name| self.rule.matches(name.as_bytes()))
    }

    fn accepts_host(&self, dns: &[String]) -> bool {
        dns.iter().any(|name| match (name.strip_prefix("*."), &self.exact) {
            (Some(suffix), Some(wanted)) => wanted
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix)),
            _ => self.rule.matches(name.as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::matcher::{StringMatcher, string_matcher::MatchPattern};
    use super::*;

    #[test]
    fn each_kind_of_rule_looks_at_its_own_kind_of_names() {
        use tls::subject_alt_name_matcher::SanType;
        let rule = |kind: SanType, name: &str| {
            SanMatch::compile(&tls::SubjectAltNameMatcher {
                san_type: kind as i32,
                matcher: Some(StringMatcher {
                    match_pattern: Some(MatchPattern::Exact(name.to_owned())),
                    ..StringMatcher::default()
                }),
                ..tls::SubjectAltNameMatcher::default()
            })
        };
        let peer = TlsPeer {
            dns: vec!["*.example.com".to_owned()],
            emails: vec!["a@example.com".to_owned()],
            addresses: vec!["192.0.2.1".to_owned()],
            ..TlsPeer::default()
        };
        for (kind, name, accepted) in [
            (SanType::Dns, "a.example.com", true),
            (SanType::Dns, "192.0.2.1", false),
            (SanType::Email, "a@example.com", true),
            (SanType::IpAddress, "192.0.2.1", true),
            (SanType::Uri, "192.0.2.1", false),
        ] {
            assert_eq!(rule(kind, name).expect("a rule").accepts(&peer), accepted, "{kind:?} {name}");
        }
        assert!(rule(SanType::OtherName, "a").is_err());
    }
}
