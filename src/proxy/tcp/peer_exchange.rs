//! The metadata exchange of TCP connections between sidecars (ALPN `istio-peer-exchange`): before anything else each side
//! tells who it is, in a header of its own.

use bytes::{Buf, BytesMut};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::filter::peer_metadata::{OwnMetadata, Peer};

/// The protocol that stands for the exchange.
pub(crate) const ALPN: &[u8] = b"istio-peer-exchange";
const MAGIC: u32 = 0x3D23_0467;
/// Largest header taken from a peer.
const LIMIT: usize = 16 * 1024;
const METADATA: &str = "x-envoy-peer-metadata";
const METADATA_ID: &str = "x-envoy-peer-metadata-id";
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// What this proxy sends.
pub(crate) fn header(own: &OwnMetadata) -> Vec<u8> {
    let value = |kind| Value { kind: Some(kind) };
    let told = Struct {
        fields: [
            (METADATA.to_owned(), value(Kind::StructValue(own.told.clone()))),
            (METADATA_ID.to_owned(), value(Kind::StringValue(own.id.clone()))),
        ]
        .into_iter()
        .collect(),
    };
    let data = Any { type_url: STRUCT.to_owned(), value: told.encode_to_vec() }.encode_to_vec();
    let length = u32::try_from(data.len()).unwrap_or_default();
    [&MAGIC.to_be_bytes(), &length.to_be_bytes(), data.as_slice()].concat()
}

/// Reads the peer's header into `buffer` and takes it off; what follows it stays. `None` = the peer sent none, and all it
/// sent is in the buffer. May be dropped and called again.
///
/// # Errors
/// The connection failed, or the header is longer than any proxy's.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> std::io::Result<Option<Peer>> {
    loop {
        let shared = buffer.len().min(4);
        if buffer[..shared] != MAGIC.to_be_bytes()[..shared] {
            return Ok(None);
        }
        if let Some(head) = buffer.get(4..8) {
            let length = head.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            if length > LIMIT {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "the peer's metadata is too long",
                ));
            }
            if buffer.len() >= 8 + length {
                buffer.advance(8);
                return Ok(Some(decode(&buffer.split_to(length)).unwrap_or_default()));
            }
        }
        buffer.reserve(4096);
        if from.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn decode(data: &[u8]) -> Option<Peer> {
    let any = Any::decode(data).ok()?;
    let told = Struct::decode(any.value.as_slice()).ok()?;
    match told.fields.get(METADATA)?.kind.as_ref()? {
        Kind::StructValue(metadata) => Some(Peer::from_struct(metadata)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use envoy_types::pb::envoy::config::core::v3::Node;
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

    use super::{header, read};
    use crate::filter::peer_metadata::OwnMetadata;

    fn node() -> Node {
        let workload = Value { kind: Some(Kind::StringValue("reviews-v1".into())) };
        let metadata = Struct { fields: [("WORKLOAD_NAME".to_owned(), workload)].into_iter().collect() };
        Node { id: "sidecar~1".into(), metadata: Some(metadata), ..Node::default() }
    }

    #[tokio::test]
    async fn the_header_is_taken_off_and_nothing_else() {
        let sent = [header(&OwnMetadata::of_node(&node())).as_slice(), b"first bytes"].concat();
        let mut buffer = BytesMut::new();
        let peer = read(&mut sent.as_slice(), &mut buffer).await.expect("read").expect("a header");
        assert_eq!(peer.workload, "reviews-v1");
        assert_eq!(&buffer[..], b"first bytes");
        let mut buffer = BytesMut::new();
        assert!(read(&mut b"=#plain".as_slice(), &mut buffer).await.expect("read").is_none());
        assert_eq!(&buffer[..], b"=#plain");
        let endless = [super::MAGIC.to_be_bytes(), u32::MAX.to_be_bytes()].concat();
        assert!(read(&mut endless.as_slice(), &mut BytesMut::new()).await.is_err());
    }
}
