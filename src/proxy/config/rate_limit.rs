//! What a route counts requests by (`rate_limits`): actions that each give one entry of a descriptor.

use super::field::{FieldError, Within, refuse_if};
use super::header_matcher::{HeaderMatch, QueryMatch};
use super::proto::route::{self, rate_limit::action::ActionSpecifier};
use super::route_condition::{RouteQuery, split_query};

/// Keys and values, in order.
pub(crate) type Descriptor = Vec<(String, String)>;

/// A compiled `RateLimit`.
#[derive(Debug)]
pub(crate) struct RateLimitRule {
    pub(crate) stage: u32,
    actions: Vec<Action>,
}

#[derive(Debug)]
enum Action {
    RequestHeader { name: Box<[u8]>, key: String, skip_if_absent: bool },
    RemoteAddress,
    Fixed { key: String, value: String },
    Headers { rules: Vec<HeaderMatch>, expected: bool, key: String, value: String },
    QueryParameters { rules: Vec<QueryMatch>, expected: bool, key: String, value: String },
    QueryParameter { name: String, key: String, skip_if_absent: bool },
    DestinationCluster,
}

/// What actions read of a request.
pub(crate) struct RateLimitFacts<'f> {
    pub(crate) query: &'f RouteQuery<'f>,
    /// The trusted client address.
    pub(crate) remote: std::net::IpAddr,
    /// The cluster that the route leads to.
    pub(crate) cluster: Option<&'f str>,
}

impl RateLimitRule {
    pub(crate) fn compile_all(list: &[route::RateLimit]) -> Result<Vec<Self>, FieldError> {
        let each = |(index, one)| Self::compile(one).within_item("rate_limits", index);
        list.iter().enumerate().map(each).collect()
    }

    fn compile(from: &route::RateLimit) -> Result<Self, FieldError> {
        refuse_if(
            from.limit.is_some(),
            "limit",
            "is not supported; limits stand in the filter's descriptors",
        )?;
        refuse_if(from.hits_addend.is_some(), "hits_addend", "is not supported")?;
        refuse_if(from.apply_on_stream_done, "apply_on_stream_done", "is not supported")?;
        let each = |(index, action): (usize, &route::rate_limit::Action)| {
            Action::compile(action).within_item("actions", index)
        };
        Ok(Self {
            stage: super::proto::uint(from.stage.as_ref(), 0),
            actions: from.actions.iter().enumerate().map(each).collect::<Result<_, _>>()?,
        })
    }

    /// The descriptor of a request; `None` where an action finds nothing.
    pub(crate) fn descriptor(&self, facts: &RateLimitFacts<'_>) -> Option<Descriptor> {
        let entries = self.actions.iter().map(|action| action.entry(facts)).collect::<Option<Vec<_>>>()?;
        Some(entries.into_iter().flatten().collect())
    }
}

fn or(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

fn header_rules(list: &[route::HeaderMatcher]) -> Result<Vec<HeaderMatch>, FieldError> {
    list.iter().enumerate().map(|(i, h)| HeaderMatch::compile(h).within_item("headers", i)).collect()
}

impl Action {
    fn compile(from: &route::rate_limit::Action) -> Result<Self, FieldError> {
        Ok(match from.action_specifier.as_ref() {
            Some(ActionSpecifier::RequestHeaders(headers)) => Self::RequestHeader {
                name: headers.header_name.to_ascii_lowercase().into_bytes().into(),
                key: headers.descriptor_key.clone(),
                skip_if_absent: headers.skip_if_absent,
            },
            Some(ActionSpecifier::RemoteAddress(_)) => Self::RemoteAddress,
            Some(ActionSpecifier::GenericKey(fixed)) => Self::Fixed {
                key: or(&fixed.descriptor_key, "generic_key"),
                value: fixed.descriptor_value.clone(),
            },
            Some(ActionSpecifier::HeaderValueMatch(wanted)) => Self::Headers {
                rules: header_rules(&wanted.headers).within("header_value_match")?,
                expected: wanted.expect_match.as_ref().is_none_or(|b| b.value),
                key: or(&wanted.descriptor_key, "header_match"),
                value: wanted.descriptor_value.clone(),
            },
            Some(ActionSpecifier::QueryParameterValueMatch(wanted)) => {
                let rules = wanted.query_parameters.iter().enumerate();
                let rules = rules.map(|(i, q)| QueryMatch::compile(q).within_item("query_parameters", i));
                Self::QueryParameters {
                    rules: rules.collect::<Result<_, _>>().within("query_parameter_value_match")?,
                    expected: wanted.expect_match.as_ref().is_none_or(|b| b.value),
                    key: or(&wanted.descriptor_key, "query_match"),
                    value: wanted.descriptor_value.clone(),
                }
            }
            Some(ActionSpecifier::QueryParameters(one)) => Self::QueryParameter {
                name: one.query_parameter_name.clone(),
                key: one.descriptor_key.clone(),
                skip_if_absent: one.skip_if_absent,
            },
            Some(ActionSpecifier::DestinationCluster(_)) => Self::DestinationCluster,
            _ => {
                let known = "request_headers, remote_address, generic_key, header_value_match, query_parameters, \
                             query_parameter_value_match, destination_cluster";
                return Err(FieldError::new(
                    "action_specifier",
                    format!("is missing or not supported; known: {known}"),
                ));
            }
        })
    }

    /// `None` = no descriptor at all; `Some(None)` = a descriptor without this entry.
    fn entry(&self, facts: &RateLimitFacts<'_>) -> Option<Option<(String, String)>> {
        let query = facts.query;
        let parameters = split_query(query.path).1;
        let found = match self {
            Self::RequestHeader { name, key, skip_if_absent } => {
                match query.pseudo(name).or_else(|| query.headers.get(name)) {
                    Some(value) => (key.clone(), String::from_utf8_lossy(value).into_owned()),
                    None => return skip_if_absent.then_some(None),
                }
            }
            Self::RemoteAddress => ("remote_address".to_owned(), facts.remote.to_string()),
            Self::Fixed { key, value } => (key.clone(), value.clone()),
            Self::Headers { rules, expected, key, value } => {
                let all = rules.iter().all(|rule| rule.matches(query.headers, |name| query.pseudo(name)));
                (all == *expected).then(|| (key.clone(), value.clone()))?
            }
            Self::QueryParameters { rules, expected, key, value } => {
                let all = rules.iter().all(|rule| rule.matches(parameters));
                (all == *expected).then(|| (key.clone(), value.clone()))?
            }
            Self::QueryParameter { name, key, skip_if_absent } => {
                let text = String::from_utf8_lossy(parameters);
                let value =
                    text.split('&').find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='));
                match value {
                    Some(value) => (key.clone(), value.to_owned()),
                    None => return skip_if_absent.then_some(None),
                }
            }
            Self::DestinationCluster => ("destination_cluster".to_owned(), facts.cluster?.to_owned()),
        };
        Some(Some(found))
    }
}
