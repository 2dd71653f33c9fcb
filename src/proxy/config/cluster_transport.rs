//! What connections to endpoints are wrapped in: TLS, the PROXY header, nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::text_fields;
use super::field::{FieldError, Within, refuse_if};
use super::proto::{self, cluster, core, tls};
use crate::listen::proxy_protocol::Version;
use crate::tls::context::{Secrets, UpstreamTls};

/// A transport for endpoints whose metadata match.
#[derive(Debug, Clone)]
pub(crate) struct TransportMatch {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) transport: Transport,
}

/// What a connection to an endpoint is wrapped in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transport {
    pub(crate) tls: Option<Arc<UpstreamTls>>,
    /// It begins with a PROXY header, before TLS.
    pub(crate) proxy_header: Option<Version>,
}

/// A transport and the labels of the endpoints it is for.
pub(super) fn compile_match(
    from: &cluster::cluster::TransportSocketMatch,
    secrets: &Arc<Secrets>,
    auto_san: bool,
) -> Result<TransportMatch, FieldError> {
    let labels = from.r#match.as_ref().map(text_fields).unwrap_or_default();
    let transport =
        from.transport_socket.as_ref().map(|s| compile_transport(s, secrets, auto_san)).transpose();
    Ok(TransportMatch { labels, transport: transport.within("transport_socket")?.unwrap_or_default() })
}

/// `auto_san` = where nothing says which names the server must prove, it must prove the one it is called by.
pub(super) fn compile_transport(
    from: &core::TransportSocket,
    secrets: &Arc<Secrets>,
    auto_san: bool,
) -> Result<Transport, FieldError> {
    let Some(core::transport_socket::ConfigType::TypedConfig(any)) = &from.config_type else {
        return Err(FieldError::new("typed_config", "is missing"));
    };
    match proto::short_type(&any.type_url) {
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" => {
            let context: tls::UpstreamTlsContext = proto::decode(any)?;
            let tls = UpstreamTls::compile(&context, secrets, auto_san).within("typed_config")?;
            Ok(Transport { tls: Some(tls), proxy_header: None })
        }
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport" => {
            let outer: proto::proxy_protocol::ProxyProtocolUpstreamTransport = proto::decode(any)?;
            let config = outer.config.unwrap_or_default();
            refuse_if(
                config.pass_through_tlvs.is_some() || !config.added_tlvs.is_empty(),
                "typed_config.config",
                "extensions of the PROXY header are not supported",
            )?;
            let inner =
                outer.transport_socket.as_ref().map(|inner| compile_transport(inner, secrets, auto_san));
            let inner = inner.transpose().within("typed_config.transport_socket")?.unwrap_or_default();
            let version = if config.version == 1 { Version::V2 } else { Version::V1 };
            Ok(Transport { proxy_header: Some(version), ..inner })
        }
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(Transport::default()),
        other => Err(FieldError::new(
            "typed_config",
            format!(
                "{other} is not supported; known: UpstreamTlsContext, ProxyProtocolUpstreamTransport, RawBuffer"
            ),
        )),
    }
}
