//! Short names for Envoy's messages, and the small conversions that every generator needs.

use std::net::IpAddr;

use prost::{Message, Name};

pub(crate) use envoy_types::pb::envoy::config::{
    accesslog::v3 as accesslog, cluster::v3 as cluster, core::v3 as core, endpoint::v3 as endpoint,
    listener::v3 as listener, rbac::v3 as rbac, route::v3 as route,
};
pub(crate) use envoy_types::pb::envoy::extensions::filters::{http, network};
pub(crate) use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
pub(crate) use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
pub(crate) use envoy_types::pb::envoy::r#type::v3 as types;
pub(crate) use envoy_types::pb::google::protobuf::{
    Any, BoolValue, Duration, ListValue, Struct, UInt32Value, UInt64Value, Value, value::Kind,
};

/// A message in an `Any`.
pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// A number in a wrapper.
pub(crate) fn uint(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// A truth value in a wrapper.
pub(crate) fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

/// A span of time.
pub(crate) fn duration(span: sagene_api::Duration) -> Duration {
    Duration { seconds: span.seconds(), nanos: span.subsec_nanos() }
}

/// A span of whole seconds.
pub(crate) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

/// A text in a `Value`.
pub(crate) fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

/// A struct of fields.
pub(crate) fn structure<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

/// A struct in a `Value`.
pub(crate) fn nested<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value { kind: Some(Kind::StructValue(structure(fields))) }
}

/// A list in a `Value`.
pub(crate) fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

/// Metadata with one struct under `istio`.
pub(crate) fn istio_metadata<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> core::Metadata {
    core::Metadata {
        filter_metadata: [("istio".to_owned(), structure(fields))].into(),
        ..core::Metadata::default()
    }
}

/// Where the object stands that a piece of configuration comes from, as `istioctl` reads it.
pub(crate) fn config_path(kind: &str, namespace: &str, name: &str) -> String {
    format!("/apis/networking.istio.io/v1alpha3/namespaces/{namespace}/{kind}/{name}")
}

/// A TCP address.
pub(crate) fn address(ip: &str, port: u32) -> core::Address {
    core::Address { address: Some(core::address::Address::SocketAddress(socket_address(ip, port))) }
}

/// A TCP address without its wrapper.
pub(crate) fn socket_address(ip: &str, port: u32) -> core::SocketAddress {
    core::SocketAddress {
        address: ip.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
        ..core::SocketAddress::default()
    }
}

/// A Unix socket.
pub(crate) fn pipe(path: &str) -> core::Address {
    core::Address {
        address: Some(core::address::Address::Pipe(core::Pipe { path: path.to_owned(), mode: 0 })),
    }
}

/// Resources of this kind come over the same stream; without an answer they are waited for without end, as Istio has it.
pub(crate) fn ads() -> core::ConfigSource {
    core::ConfigSource { initial_fetch_timeout: seconds(0), ..ads_with_timeout() }
}

/// Resources come over the same stream, with Envoy's own limit of waiting.
pub(crate) fn ads_with_timeout() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..core::ConfigSource::default()
    }
}

/// A transport socket with its configuration.
pub(crate) fn transport_socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(config)),
    }
}

/// A range of addresses: one IP, or CIDR notation. `None` where it is neither.
pub(crate) fn cidr(text: &str) -> Option<core::CidrRange> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let most = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let length = length.unwrap_or(most);
    (length <= most).then(|| core::CidrRange { address_prefix: address.to_owned(), prefix_len: uint(length) })
}

/// A regular expression.
pub(crate) fn regex(expression: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: expression.to_owned(), engine_type: None }
}

/// An exact text.
pub(crate) fn exact(text: &str) -> matcher::StringMatcher {
    string_matcher(matcher::string_matcher::MatchPattern::Exact(text.to_owned()))
}

/// A matcher of this pattern that minds case.
pub(crate) fn string_matcher(pattern: matcher::string_matcher::MatchPattern) -> matcher::StringMatcher {
    matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: false }
}

/// A share of a million, from percent.
pub(crate) fn fraction(percent: f64) -> types::FractionalPercent {
    types::FractionalPercent {
        // Saturates: a share outside 0 to 100 is cut to it.
        numerator: (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32,
        denominator: types::fractional_percent::DenominatorType::Million as i32,
    }
}
