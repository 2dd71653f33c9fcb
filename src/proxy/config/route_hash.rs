//! What consistent hashing goes by (`hash_policy` of a route).

use std::time::Duration;

use super::field::FieldError;
use super::proto::{self, route};

/// Where a request's hash comes from.
#[derive(Debug)]
pub(crate) enum HashSource {
    Header(Box<[u8]>),
    Cookie { name: String, ttl: Option<Duration>, path: String },
    SourceIp,
    Query(Box<[u8]>),
}

#[derive(Debug)]
pub(crate) struct HashRule {
    pub(crate) source: HashSource,
    pub(crate) terminal: bool,
}

impl HashRule {
    /// Compiles one of the route's policies.
    pub(super) fn compile(from: &route::route_action::HashPolicy) -> Result<Self, FieldError> {
        use route::route_action::hash_policy::PolicySpecifier;
        let source = match &from.policy_specifier {
            Some(PolicySpecifier::Header(header)) => {
                HashSource::Header(header.header_name.to_ascii_lowercase().into_bytes().into())
            }
            Some(PolicySpecifier::Cookie(cookie)) => HashSource::Cookie {
                name: cookie.name.clone(),
                ttl: cookie.ttl.as_ref().map(proto::duration),
                path: cookie.path.clone(),
            },
            Some(PolicySpecifier::ConnectionProperties(_)) => HashSource::SourceIp,
            Some(PolicySpecifier::QueryParameter(query)) => {
                HashSource::Query(query.name.clone().into_bytes().into())
            }
            _ => {
                return Err(FieldError::new(
                    "policy_specifier",
                    "only header, cookie, source_ip and query_parameter are supported",
                ));
            }
        };
        Ok(Self { source, terminal: from.terminal })
    }
}
