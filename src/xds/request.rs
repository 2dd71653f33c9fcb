//! The state-of-the-world request as a server reads it.

use bytes::Bytes;
use envoy_types::pb::{
    envoy::{config::core::v3::Node, service::discovery::v3::DiscoveryRequest as Published},
    google::rpc,
};
use prost::{DecodeError, Message};

/// `envoy.service.discovery.v3.DiscoveryRequest`, without what the server has no use for. Its names are slices of the request: every
/// acknowledgement lists them again, a thousand of them in a large mesh, and is nearly always about the names that it listed before.
#[derive(Clone, PartialEq, Message)]
pub struct DiscoveryRequest {
    /// Who asks; in the first request of a stream.
    #[prost(message, optional, tag = "2")]
    pub node: Option<Node>,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    names: Vec<Bytes>,
    /// Type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// The response that this is about; empty when it is about none.
    #[prost(string, tag = "5")]
    pub response_nonce: String,
    /// Why the response was rejected.
    #[prost(message, optional, tag = "6")]
    pub error_detail: Option<rpc::Status>,
}

impl DiscoveryRequest {
    /// A subscription to these names.
    pub fn new<'n>(type_url: &str, names: impl IntoIterator<Item = &'n str>, response_nonce: &str) -> Self {
        Self {
            names: names.into_iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect(),
            type_url: type_url.to_owned(),
            response_nonce: response_nonce.to_owned(),
            ..Self::default()
        }
    }

    /// Reads a request. Errors: no protobuf, or a name that is no UTF-8.
    pub fn read(encoded: Bytes) -> Result<Self, DecodeError> {
        let request = Self::decode(encoded.clone())?;
        if request.names.iter().any(|name| std::str::from_utf8(name).is_err()) {
            // The published shape, whose names are texts, has the words for what is wrong.
            Published::decode(encoded)?;
        }
        Ok(request)
    }

    /// Names of the resources that are asked for, in the order they came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        // `read` and `new` take nothing else.
        self.names.iter().map(|name| std::str::from_utf8(name).unwrap_or_default())
    }

    /// The bytes of [`Self::names`].
    pub(crate) fn names_as_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| &name[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_is_read() {
        let node = Node { id: "sidecar~1".into(), ..Default::default() };
        let sent = Published {
            version_info: "7".into(),
            node: Some(node.clone()),
            resource_names: vec!["b".into(), "a".into(), "ü".into()],
            type_url: "type".into(),
            response_nonce: "nonce".into(),
            error_detail: Some(rpc::Status { message: "no".into(), ..Default::default() }),
            ..Default::default()
        };
        let read = DiscoveryRequest::read(sent.encode_to_vec().into()).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["b", "a", "ü"]);
        assert_eq!(
            (read.node, read.type_url.as_str(), read.response_nonce.as_str()),
            (Some(node), "type", "nonce")
        );
        assert_eq!(read.error_detail, sent.error_detail);
    }

    #[test]
    fn a_name_that_is_no_text_is_refused() {
        let name_of_one_byte = [0x1a, 0x01, 0xff];
        let error = DiscoveryRequest::read(Bytes::copy_from_slice(&name_of_one_byte)).unwrap_err();
        assert!(error.to_string().contains("resource_names"), "{error}");
    }
}
