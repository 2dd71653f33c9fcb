//! Where a gateway stands, as `gatewayTopology` of its ProxyConfig says: which proxies are in front of it, and what they tell.

use super::proto::network::http_connection_manager::v3::http_connection_manager::ForwardClientCertDetails;
use super::proto::{Kind, Struct, Value};

/// What is in front of a gateway; the default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topology {
    /// Proxies in front whose entries in X-Forwarded-For are believed.
    pub trusted_proxies: u32,
    /// What happens to X-Forwarded-Client-Cert; `None` means replaced by the client's.
    pub client_certificate: Option<ForwardClientCertDetails>,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
}

impl Topology {
    /// Reads the ProxyConfig that a node sends in its metadata. What is no setting means the default.
    pub(super) fn of(metadata: &Struct) -> Self {
        let config = metadata.fields.get("PROXY_CONFIG").and_then(fields);
        let Some(declared) = config.and_then(|config| config.fields.get("gatewayTopology")).and_then(fields)
        else {
            return Self::default();
        };
        let kind = |name: &str| declared.fields.get(name).and_then(|value| value.kind.as_ref());
        Self {
            trusted_proxies: match kind("numTrustedProxies") {
                // A whole number that fits, as validation has it; a fraction is cut off.
                Some(Kind::NumberValue(number)) => number.clamp(0.0, f64::from(u32::MAX)) as u32,
                _ => 0,
            },
            client_certificate: match kind("forwardClientCertDetails") {
                Some(Kind::StringValue(name)) => ForwardClientCertDetails::from_str_name(name),
                _ => None,
            },
            proxy_protocol: matches!(kind("proxyProtocol"), Some(Kind::StructValue(_))),
        }
    }
}

fn fields(value: &Value) -> Option<&Struct> {
    match &value.kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{nested, structure, text};
    use super::*;

    #[test]
    fn a_node_s_proxy_config_tells_what_is_in_front() {
        let number = Value { kind: Some(Kind::NumberValue(2.0)) };
        let of = |topology: Value| {
            Topology::of(&structure([("PROXY_CONFIG", nested([("gatewayTopology", topology)]))]))
        };
        let forwarded = text("ALWAYS_FORWARD_ONLY");
        let found = of(nested([("numTrustedProxies", number), ("forwardClientCertDetails", forwarded)]));
        let client_certificate = Some(ForwardClientCertDetails::AlwaysForwardOnly);
        assert_eq!(found, Topology { trusted_proxies: 2, client_certificate, proxy_protocol: false });
        assert!(of(nested([("proxyProtocol", nested([]))])).proxy_protocol);
        assert_eq!(of(nested([("forwardClientCertDetails", text("UNDEFINED"))])), Topology::default());
        assert_eq!(Topology::of(&structure([])), Topology::default());
    }
}
