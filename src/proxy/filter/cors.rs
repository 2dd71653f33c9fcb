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

    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|rule| rule.matches(origin))
    }

    /// Whether the request is a preflight that is answered here; fills `response` when so.
    pub(crate) fn preflight(&self, method: &[u8], request: &HeaderList, response: &mut HeaderList) -> bool {
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
        for (name, value) in [
            ("access-control-allow-methods", &self.methods),
            ("access-control-allow-headers", &self.headers),
            ("access-control-max-age", &self.max_age),
        ] {
            if !value.is_empty() {
                response.set(name.as_bytes(), value.as_bytes());
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
