//! The condition of a route (`RouteMatch`): path, headers, query parameters, metadata, a share of the traffic.

use super::field::{FieldError, Within, refuse_if};
use super::header_matcher::{HeaderMatch, QueryMatch};
use super::matcher::{Fraction, compile_regex};
use super::proto::route;
use crate::filter::metadata::{DynamicMetadata, MetadataMatch};

/// What a route is chosen by.
pub(crate) struct RouteQuery<'q> {
    pub(crate) path: &'q [u8],
    pub(crate) method: &'q [u8],
    pub(crate) authority: &'q [u8],
    pub(crate) scheme: &'q [u8],
    pub(crate) headers: &'q crate::http::headers::HeaderList,
    /// What filters found out so far.
    pub(crate) metadata: Option<&'q DynamicMetadata>,
    pub(crate) random: u64,
}

impl RouteQuery<'_> {
    pub(crate) fn pseudo(&self, name: &[u8]) -> Option<&[u8]> {
        match name {
            b":path" => Some(self.path),
            b":method" => Some(self.method),
            b":authority" => Some(self.authority),
            b":scheme" => Some(self.scheme),
            _ => None,
        }
    }
}

/// A compiled `RouteMatch`.
#[derive(Debug)]
pub(crate) struct RouteCondition {
    path: PathRule,
    case_sensitive: bool,
    headers: Vec<HeaderMatch>,
    query: Vec<QueryMatch>,
    metadata: Vec<MetadataMatch>,
    grpc_only: bool,
    fraction: Option<Fraction>,
}

#[derive(Debug)]
enum PathRule {
    Prefix(Box<[u8]>),
    Exact(Box<[u8]>),
    Segment(Box<[u8]>),
    Regex(regex::bytes::Regex),
    Connect,
}

impl RouteCondition {
    pub(crate) fn compile(rule: &route::RouteMatch) -> Result<Self, FieldError> {
        refuse_if(rule.tls_context.is_some(), "tls_context", "is not supported yet")?;
        refuse_if(!rule.filter_state.is_empty(), "filter_state", "is not supported")?;
        refuse_if(!rule.cookies.is_empty(), "cookies", "is not supported; match the cookie header")?;
        let case_sensitive = rule.case_sensitive.as_ref().is_none_or(|b| b.value);
        let headers = rule.headers.iter().enumerate();
        let query = rule.query_parameters.iter().enumerate();
        let metadata = rule.dynamic_metadata.iter().enumerate();
        Ok(Self {
            path: PathRule::compile(rule, case_sensitive)?,
            case_sensitive,
            headers: headers
                .map(|(i, h)| HeaderMatch::compile(h).within_item("headers", i))
                .collect::<Result<_, _>>()?,
            query: query
                .map(|(i, q)| QueryMatch::compile(q).within_item("query_parameters", i))
                .collect::<Result<_, _>>()?,
            metadata: metadata
                .map(|(i, m)| MetadataMatch::compile(m).within_item("dynamic_metadata", i))
                .collect::<Result<_, _>>()?,
            grpc_only: rule.grpc.is_some(),
            fraction: rule.runtime_fraction.as_ref().map(Fraction::of_runtime),
        })
    }

    pub(crate) fn matches(&self, query: &RouteQuery<'_>) -> bool {
        let (path, parameters) = split_query(query.path);
        self.path.matches(path, query.method, self.case_sensitive)
            && self.headers.iter().all(|rule| rule.matches(query.headers, |name| query.pseudo(name)))
            && self.query.iter().all(|rule| rule.matches(parameters))
            && self.metadata.iter().all(|rule| rule.matches(query.metadata))
            && (!self.grpc_only
                || query.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/grpc")))
            && self.fraction.is_none_or(|share| share.takes(query.random))
    }

    /// How much of a path that matches the path rule stands for.
    pub(crate) fn matched_length(&self, path: &[u8]) -> usize {
        match &self.path {
            PathRule::Prefix(prefix) | PathRule::Segment(prefix) => prefix.len(),
            PathRule::Exact(_) | PathRule::Regex(_) | PathRule::Connect => path.len(),
        }
    }
}

/// Path and query string; a fragment is never part of either.
pub(crate) fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, &[]),
    }
}

impl PathRule {
    fn compile(rule: &route::RouteMatch, case_sensitive: bool) -> Result<Self, FieldError> {
        use route::route_match::PathSpecifier;
        let text = |text: &String| text.clone().into_bytes().into_boxed_slice();
        Ok(match rule.path_specifier.as_ref() {
            Some(PathSpecifier::Prefix(prefix)) => Self::Prefix(text(prefix)),
            Some(PathSpecifier::Path(path)) => Self::Exact(text(path)),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => Self::Segment(text(prefix)),
            Some(PathSpecifier::SafeRegex(regex)) => {
                let pattern =
                    if case_sensitive { regex.regex.clone() } else { format!("(?i){}", regex.regex) };
                Self::Regex(compile_regex(&pattern).within("safe_regex")?)
            }
            Some(PathSpecifier::ConnectMatcher(_)) => Self::Connect,
            Some(PathSpecifier::PathMatchPolicy(_)) => {
                return Err(FieldError::new("path_match_policy", "URI templates are not supported yet"));
            }
            None => return Err(FieldError::new("path_specifier", "is missing")),
        })
    }

    fn matches(&self, path: &[u8], method: &[u8], case_sensitive: bool) -> bool {
        let same = |a: &[u8], b: &[u8]| if case_sensitive { a == b } else { a.eq_ignore_ascii_case(b) };
        match self {
            Self::Prefix(prefix) => path.get(..prefix.len()).is_some_and(|head| same(head, prefix)),
            Self::Exact(exact) => same(path, exact),
            Self::Segment(prefix) => {
                path.get(..prefix.len()).is_some_and(|head| same(head, prefix))
                    && matches!(path.get(prefix.len()), None | Some(b'/'))
            }
            Self::Regex(regex) => regex.is_match(path),
            Self::Connect => method == b"CONNECT",
        }
    }
}
