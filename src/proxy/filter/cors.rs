//! Cross-origin requests: answers preflights, marks responses.

use crate::config::proto::{http::cors::v3 as proto_cors, matcher, route};
use crate::config::{FieldError, TextMatch, Within};
use crate::http::headers::HeaderList;

/// A compiled `CorsPolicy`.
#[derive(Debug, Default)]
pub(crate) struct CorsPolicy {
    origins: Vec<TextMatch>,
    methods: String,
    headers: String,
    expose: String,
    max_age: String,
    credentials: bool,
    forward_unmatched: bool,
}

impl CorsPolicy {
    pub(crate) fn compile(from: &proto_cors::CorsPolicy) -> Result<Self, FieldError> {
        Ok(Self {
            origins: origins(&from.allow_origin_string_match)?,
            methods: from.allow_methods.clone(),
            headers: from.allow_headers.clone(),
            expose: from.expose_headers.clone(),
            max_age: from.max_age.clone(),
            credentials: from.allow_credentials.as_ref().is_some_and(|b| b.value),
            forward_unmatched: from.forward_not_matching_preflights.as_ref().is_none_or(|b| b.value),
        })
    }

    /// The older form inside a route or virtual host.
    pub(crate) fn compile_route(from: &route::CorsPolicy) -> Result<Self, FieldError> {
        Ok(Self {
            origins: origins(&from.allow_origin_string_match)?,
            methods: from.allow_methods.clone(),
            headers: from.allow_headers.clone(),
            expose: from.expose_headers.clone(),
            max_age: from.max_age.clone(),
            credentials: from.allow_credentials.as_ref().is_some_and(|b| b.value),
            forward_unmatched: from.forward_not_matching_preflights.as_ref().is_none_or(|b| b.value),
        })
    }

    /// A rule that takes `*` takes every origin.
    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|rule| rule.matches(b"*") || rule.matches(origin))
    }

    /// Whether the request is a preflight that is answered here; fills `response` when so.
    pub(crate) fn preflight<'p>(
        &'p self,
        method: &[u8],
        request: &'p HeaderList,
        response: &mut HeaderList,
    ) -> bool {
        let (Some(origin), true) =
            (request.get(b"origin"), request.contains(b"access-control-request-method"))
        else {
            return false;
        };
        if method != b"OPTIONS" {
            return false;
        }
        if !self.allows(origin) {
            return !self.forward_unmatched;
        }
        self.mark(request, response);
        // `*` is answered with what was asked for: browsers take it literally where credentials are sent.
        let or_wanted = |declared: &'p str, wanted: &str| match declared {
            "*" => request.get(wanted.as_bytes()).unwrap_or_default(),
            _ => declared.as_bytes(),
        };
        for (name, declared, value) in [
            (
                "access-control-allow-methods",
                &self.methods,
                or_wanted(&self.methods, "access-control-request-method"),
            ),
            (
                "access-control-allow-headers",
                &self.headers,
                or_wanted(&self.headers, "access-control-request-headers"),
            ),
            ("access-control-max-age", &self.max_age, self.max_age.as_bytes()),
        ] {
            if !declared.is_empty() {
                response.set(name.as_bytes(), value);
            }
        }
        true
    }

    /// Adds the headers of an actual cross-origin response.
    pub(crate) fn mark(&self, request: &HeaderList, response: &mut HeaderList) {
        let Some(origin) = request.get(b"origin").filter(|origin| self.allows(origin)) else { return };
        response.set(b"access-control-allow-origin", origin);
        if self.credentials {
            response.set(b"access-control-allow-credentials", b"true");
        }
        if !self.expose.is_empty() {
            response.set(b"access-control-expose-headers", self.expose.as_bytes());
        }
    }
}

fn origins(from: &[matcher::StringMatcher]) -> Result<Vec<TextMatch>, FieldError> {
    let compile = |(i, rule)| TextMatch::compile(rule).within_item("allow_origin_string_match", i);
    from.iter().enumerate().map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use matcher::string_matcher::MatchPattern;

    #[test]
    fn wildcards_are_answered_with_what_was_asked_for() {
        let any = matcher::StringMatcher {
            match_pattern: Some(MatchPattern::Exact("*".to_owned())),
            ..matcher::StringMatcher::default()
        };
        let policy = CorsPolicy::compile(&proto_cors::CorsPolicy {
            allow_origin_string_match: vec![any],
            allow_methods: "*".to_owned(),
            allow_headers: "x-a,x-b".to_owned(),
            ..proto_cors::CorsPolicy::default()
        })
        .unwrap();
        let mut request = HeaderList::default();
        request.set(b"origin", b"https://shop.example.com");
        request.set(b"access-control-request-method", b"PUT");
        let mut response = HeaderList::default();
        assert!(policy.preflight(b"OPTIONS", &request, &mut response));
        assert_eq!(response.get(b"access-control-allow-origin"), Some(&b"https://shop.example.com"[..]));
        assert_eq!(response.get(b"access-control-allow-methods"), Some(&b"PUT"[..]));
        assert_eq!(response.get(b"access-control-allow-headers"), Some(&b"x-a,x-b"[..]));
        assert!(!response.contains(b"access-control-max-age"));
    }
}
