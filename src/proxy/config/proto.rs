//! Short names for Envoy's messages and the conversions every compiler here needs.

pub(crate) use envoy_types::pb::envoy::config::common::mutation_rules::v3 as mutation_rules;
pub(crate) use envoy_types::pb::envoy::config::{
    accesslog::v3 as accesslog, bootstrap::v3 as bootstrap, cluster::v3 as cluster, core::v3 as core,
    endpoint::v3 as endpoint, listener::v3 as listener, rbac::v3 as rbac, route::v3 as route,
};
pub(crate) use envoy_types::pb::envoy::extensions::common::ratelimit::v3 as rate_limit;
pub(crate) use envoy_types::pb::envoy::extensions::compression;
pub(crate) use envoy_types::pb::envoy::extensions::filters::listener as listener_filter;
pub(crate) use envoy_types::pb::envoy::extensions::filters::{http, network};
pub(crate) use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3 as proxy_protocol;
pub(crate) use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
pub(crate) use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstream_http;
pub(crate) use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
pub(crate) use envoy_types::pb::envoy::r#type::v3 as types;
pub(crate) use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration, UInt32Value};

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use prost::Message;

use super::field::FieldError;

/// A duration as Envoy means it; negative ones count as zero.
pub(crate) fn duration(value: &ProtoDuration) -> Duration {
    let seconds = u64::try_from(value.seconds).unwrap_or(0);
    let nanos = u32::try_from(value.nanos).unwrap_or(0).min(999_999_999);
    Duration::new(seconds, nanos)
}

/// A timeout: absent gives `default`, zero turns it off.
pub(crate) fn timeout(value: Option<&ProtoDuration>, default: Option<Duration>) -> Option<Duration> {
    match value.map(duration) {
        None => default,
        Some(Duration::ZERO) => None,
        some => some,
    }
}

/// The number in a wrapper, or `default`.
pub(crate) fn uint(value: Option<&UInt32Value>, default: u32) -> u32 {
    value.map_or(default, |wrapped| wrapped.value)
}

/// Decodes the message inside an `Any`.
pub(crate) fn decode<M: Message + Default>(any: &Any) -> Result<M, FieldError> {
    M::decode(any.value.as_slice()).map_err(|error| {
        FieldError::new("typed_config", format!("not a {}: {error}", short_type(&any.type_url)))
    })
}

/// A flag of the runtime, which is always what its default says; absent is on.
pub(crate) fn flag(value: Option<&core::RuntimeFeatureFlag>) -> bool {
    value.and_then(|flag| flag.default_value.as_ref()).is_none_or(|flag| flag.value)
}

/// The message name in a type URL.
pub(crate) fn short_type(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}

/// An address with a numeric IP and port.
pub(crate) fn socket_address(address: &core::Address) -> Result<SocketAddr, FieldError> {
    match &address.address {
        Some(core::address::Address::SocketAddress(socket)) => {
            ip_and_port(socket).map_err(|e| e.within("socket_address"))
        }
        Some(core::address::Address::Pipe(_)) => {
            Err(FieldError::new("pipe", "Unix sockets are not supported here; use an IP address"))
        }
        Some(core::address::Address::EnvoyInternalAddress(_)) => {
            Err(FieldError::new("envoy_internal_address", "internal listeners (HBONE) are not supported yet"))
        }
        None => Err(FieldError::new("address", "is missing")),
    }
}

/// The numeric IP and port of a socket address.
pub(crate) fn ip_and_port(socket: &core::SocketAddress) -> Result<SocketAddr, FieldError> {
    let ip: IpAddr = socket
        .address
        .parse()
        .map_err(|_| FieldError::new("address", format!("{:?} is not an IP address", socket.address)))?;
    Ok(SocketAddr::new(ip, port_of(socket)?))
}

/// The numeric port of a socket address.
pub(crate) fn port_of(socket: &core::SocketAddress) -> Result<u16, FieldError> {
    match &socket.port_specifier {
        Some(core::socket_address::PortSpecifier::PortValue(port)) => {
            u16::try_from(*port).map_err(|_| FieldError::new("port_value", format!("{port} is above 65535")))
        }
        Some(core::socket_address::PortSpecifier::NamedPort(name)) => Err(FieldError::new(
            "named_port",
            format!("{name:?}: named ports are not supported; give a number"),
        )),
        None => Ok(0),
    }
}

/// The bytes of a data source that needs no file watching.
pub(crate) fn data(source: &core::DataSource) -> Result<Vec<u8>, FieldError> {
    use core::data_source::Specifier;
    match &source.specifier {
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes.clone()),
        Some(Specifier::InlineString(text)) => Ok(text.clone().into_bytes()),
        Some(Specifier::Filename(path)) => std::fs::read(path)
            .map_err(|error| FieldError::new("filename", format!("cannot read {path}: {error}"))),
        Some(Specifier::EnvironmentVariable(name)) => std::env::var(name)
            .map(String::into_bytes)
            .map_err(|_| FieldError::new("environment_variable", format!("{name} is not set"))),
        None => Err(FieldError::new("specifier", "is missing")),
    }
}

/// A text in `filter_metadata[filter][key]`.
pub(crate) fn metadata_text<'m>(
    metadata: Option<&'m core::Metadata>,
    filter: &str,
    key: &str,
) -> Option<&'m str> {
    use envoy_types::pb::google::protobuf::value::Kind;
    let value = metadata?.filter_metadata.get(filter)?.fields.get(key)?;
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}
