//! Actions of a rate limit: each finds one entry of the descriptor in the request, or nothing.

use std::net::IpAddr;

use super::RateLimitFacts;
use crate::config::field::{FieldError, Within, refuse_if};
use crate::config::header_matcher::{HeaderMatch, QueryMatch};
use crate::config::matcher::Cidr;
use crate::config::proto::route::{self, rate_limit::action as proto, rate_limit::action::ActionSpecifier};
use crate::config::proto::{core, matcher, uint};
use crate::config::route_condition::split_query;
use crate::filter::metadata::MetadataKey;

#[derive(Debug)]
pub(super) enum Action {
    RequestHeader { name: Box<[u8]>, key: String, skip_if_absent: bool },
    RemoteAddress,
    MaskedRemoteAddress { v4: u32, v6: u32 },
    RemoteAddressMatch { ranges: Vec<Cidr>, invert: bool, key: String, value: String },
    Fixed { key: String, value: String },
    Headers { rules: Vec<HeaderMatch>, expected: bool, key: String, value: String },
    QueryParameters { rules: Vec<QueryMatch>, expected: bool, key: String, value: String },
    QueryParameter { name: String, key: String, skip_if_absent: bool },
    DynamicMetadata { from: MetadataKey, default: String, key: String, skip_if_absent: bool },
    DestinationCluster,
    SourceCluster,
}

fn or(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

fn expected(from: Option<&envoy_types::pb::google::protobuf::BoolValue>) -> bool {
    from.is_none_or(|wrapped| wrapped.value)
}

impl Action {
    pub(super) fn compile(from: &route::rate_limit::Action) -> Result<Self, FieldError> {
        Ok(match from.action_specifier.as_ref() {
            Some(ActionSpecifier::RequestHeaders(headers)) => Self::RequestHeader {
                name: headers.header_name.to_ascii_lowercase().into_bytes().into(),
                key: headers.descriptor_key.clone(),
                skip_if_absent: headers.skip_if_absent,
            },
            Some(ActionSpecifier::RemoteAddress(_)) => Self::RemoteAddress,
            Some(ActionSpecifier::MaskedRemoteAddress(mask)) => {
                masked_address(mask).within("masked_remote_address")?
            }
            Some(ActionSpecifier::RemoteAddressMatch(wanted)) => {
                address_match(wanted).within("remote_address_match")?
            }
            Some(ActionSpecifier::GenericKey(fixed)) => Self::Fixed {
                key: or(&fixed.descriptor_key, "generic_key"),
                value: fixed.descriptor_value.clone(),
            },
            Some(ActionSpecifier::HeaderValueMatch(wanted)) => {
                header_match(wanted).within("header_value_match")?
            }
            Some(ActionSpecifier::QueryParameterValueMatch(wanted)) => {
                query_match(wanted).within("query_parameter_value_match")?
            }
            Some(ActionSpecifier::QueryParameters(one)) => Self::QueryParameter {
                name: one.query_parameter_name.clone(),
                key: one.descriptor_key.clone(),
                skip_if_absent: one.skip_if_absent,
            },
            Some(ActionSpecifier::Metadata(wanted)) => metadata(wanted).within("metadata")?,
            #[allow(deprecated, reason = "the older form of metadata is still written")]
            Some(ActionSpecifier::DynamicMetadata(wanted)) => Self::DynamicMetadata {
                from: metadata_key(wanted.metadata_key.as_ref()).within("dynamic_metadata")?,
                default: wanted.default_value.clone(),
                key: wanted.descriptor_key.clone(),
                skip_if_absent: false,
            },
            Some(ActionSpecifier::DestinationCluster(_)) => Self::DestinationCluster,
            Some(ActionSpecifier::SourceCluster(_)) => Self::SourceCluster,
            Some(ActionSpecifier::Extension(_)) => {
                return Err(FieldError::new("extension", "is not supported"));
            }
            None => return Err(FieldError::new("action_specifier", "is missing")),
        })
    }

    /// `None` = no descriptor at all; `Some(None)` = a descriptor without this entry.
    pub(super) fn entry(&self, facts: &RateLimitFacts<'_>) -> Option<Option<(String, String)>> {
        let query = facts.query;
        let parameters = || split_query(query.path).1;
        let given = |key: &String, value: &String| (key.clone(), value.clone());
        let (key, found, skip) = match self {
            Self::RequestHeader { name, key, skip_if_absent } => {
                let value = query.pseudo(name).or_else(|| query.headers.get(name));
                (key, value.map(|value| String::from_utf8_lossy(value).into_owned()), *skip_if_absent)
            }
            Self::QueryParameter { name, key, skip_if_absent } => {
                let text = String::from_utf8_lossy(parameters());
                let mut pairs = text.split('&');
                let value = pairs.find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='));
                (key, value.map(str::to_owned), *skip_if_absent)
            }
            Self::DynamicMetadata { from, default, key, skip_if_absent } => {
                let value = from.find(query.metadata).and_then(serde_json::Value::as_str);
                let value = value.filter(|text| !text.is_empty()).unwrap_or(default);
                (key, (!value.is_empty()).then(|| value.to_owned()), *skip_if_absent)
            }
            Self::RemoteAddress => return named("remote_address", facts.remote.to_string()),
            Self::MaskedRemoteAddress { v4, v6 } => {
                return named("masked_remote_address", masked(facts.remote, *v4, *v6));
            }
            Self::DestinationCluster => return named("destination_cluster", facts.cluster?.to_owned()),
            Self::SourceCluster => return named("source_cluster", facts.own_cluster.to_owned()),
            Self::Fixed { key, value } => return Some(Some(given(key, value))),
            Self::RemoteAddressMatch { ranges, invert, key, value } => {
                let within = ranges.iter().any(|range| range.contains(facts.remote));
                return (within != *invert).then(|| Some(given(key, value)));
            }
            Self::Headers { rules, expected, key, value } => {
                let all = rules.iter().all(|rule| rule.matches(query.headers, |name| query.pseudo(name)));
                return (all == *expected).then(|| Some(given(key, value)));
            }
            Self::QueryParameters { rules, expected, key, value } => {
                let all = rules.iter().all(|rule| rule.matches(parameters()));
                return (all == *expected).then(|| Some(given(key, value)));
            }
        };
        match found {
            Some(value) => Some(Some((key.clone(), value))),
            None => skip.then_some(None),
        }
    }
}

#[allow(clippy::option_option, reason = "as for Action::entry")]
fn named(key: &str, value: String) -> Option<Option<(String, String)>> {
    Some(Some((key.to_owned(), value)))
}

fn header_match(from: &proto::HeaderValueMatch) -> Result<Action, FieldError> {
    refuse_if(from.headers.is_empty(), "headers", "is empty")?;
    let rules = from.headers.iter().enumerate();
    let rules = rules.map(|(i, header)| HeaderMatch::compile(header).within_item("headers", i));
    Ok(Action::Headers {
        rules: rules.collect::<Result<_, _>>()?,
        expected: expected(from.expect_match.as_ref()),
        key: or(&from.descriptor_key, "header_match"),
        value: from.descriptor_value.clone(),
    })
}

fn query_match(from: &proto::QueryParameterValueMatch) -> Result<Action, FieldError> {
    refuse_if(from.query_parameters.is_empty(), "query_parameters", "is empty")?;
    let rules = from.query_parameters.iter().enumerate();
    let rules = rules.map(|(i, query)| QueryMatch::compile(query).within_item("query_parameters", i));
    Ok(Action::QueryParameters {
        rules: rules.collect::<Result<_, _>>()?,
        expected: expected(from.expect_match.as_ref()),
        key: or(&from.descriptor_key, "query_match"),
        value: from.descriptor_value.clone(),
    })
}

fn masked_address(from: &proto::MaskedRemoteAddress) -> Result<Action, FieldError> {
    let v4 = uint(from.v4_prefix_mask_len.as_ref(), 32);
    let v6 = uint(from.v6_prefix_mask_len.as_ref(), 128);
    refuse_if(v4 > 32, "v4_prefix_mask_len", "is above 32")?;
    refuse_if(v6 > 128, "v6_prefix_mask_len", "is above 128")?;
    Ok(Action::MaskedRemoteAddress { v4, v6 })
}

fn address_match(from: &proto::RemoteAddressMatch) -> Result<Action, FieldError> {
    refuse_if(from.descriptor_value.contains('%'), "descriptor_value", "format strings are not supported")?;
    let rule: &matcher::AddressMatcher =
        from.address_matcher.as_ref().ok_or_else(|| FieldError::new("address_matcher", "is missing"))?;
    let ranges = rule.ranges.iter().enumerate();
    let ranges = ranges.map(|(i, range)| {
        // The same message, of another package.
        let range =
            core::CidrRange { address_prefix: range.address_prefix.clone(), prefix_len: range.prefix_len };
        Cidr::compile(&range).within_item("address_matcher.ranges", i)
    });
    Ok(Action::RemoteAddressMatch {
        ranges: ranges.collect::<Result<_, _>>()?,
        invert: rule.invert_match,
        key: or(&from.descriptor_key, "remote_address_match"),
        value: or(&from.descriptor_value, &from.default_value),
    })
}

fn metadata(from: &proto::MetaData) -> Result<Action, FieldError> {
    refuse_if(from.source != 0, "source", "only DYNAMIC, the default, is supported")?;
    Ok(Action::DynamicMetadata {
        from: metadata_key(from.metadata_key.as_ref())?,
        default: from.default_value.clone(),
        key: from.descriptor_key.clone(),
        skip_if_absent: from.skip_if_absent,
    })
}

fn metadata_key(
    from: Option<&envoy_types::pb::envoy::r#type::metadata::v3::MetadataKey>,
) -> Result<MetadataKey, FieldError> {
    let key = from.ok_or_else(|| FieldError::new("metadata_key", "is missing"))?;
    MetadataKey::compile(key).within("metadata_key")
}

/// The network of an address, as `192.168.1.0/24`.
fn masked(address: IpAddr, v4: u32, v6: u32) -> String {
    match address {
        IpAddr::V4(ip) => {
            let kept = u32::MAX.checked_shl(32 - v4).unwrap_or(0);
            format!("{}/{v4}", std::net::Ipv4Addr::from_bits(ip.to_bits() & kept))
        }
        IpAddr::V6(ip) => {
            let kept = u128::MAX.checked_shl(128 - v6).unwrap_or(0);
            format!("{}/{v6}", std::net::Ipv6Addr::from_bits(ip.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn addresses_are_masked_to_the_bit() {
        let of = |text: &str, v4, v6| masked(text.parse().expect("address"), v4, v6);
        assert_eq!(of("192.168.1.77", 32, 128), "192.168.1.77/32");
        assert_eq!(of("192.168.1.77", 24, 128), "192.168.1.0/24");
        assert_eq!(of("192.168.1.77", 0, 128), "0.0.0.0/0");
        assert_eq!(of("2001:abcd:ef01:2345:6789::1", 32, 64), "2001:abcd:ef01:2345::/64");
        assert_eq!(of("2001:abcd::1", 32, 0), "::/0");
    }
}
