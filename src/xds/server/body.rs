//! The response side of a stream: encodes responses in pieces of at most 64 KiB, each when it is its turn, copying each resource's
//! bytes once. A client that reads slowly holds back the list of the resources it is still to get, and one piece.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::{
    Resource,
    session::{Protocol, Response},
};

/// Size after which a piece is handed to the connection.
const PIECE: usize = 64 * 1024;
/// gRPC's frame: one byte for compression, four of length.
const PREFIX: usize = 5;
const LENGTH_DELIMITED: u64 = 2;

/// What the worker of a stream hands over.
pub(super) enum Outgoing {
    /// A response of the state machine.
    Response(Box<Response>),
    /// Answer to a single question: type, nonce, encoded `Any`s.
    Answer { type_url: String, nonce: String, resources: Vec<Bytes>, protocol: Protocol },
    /// The end, with this status.
    End(Status),
}

pub(super) type Sender = mpsc::Sender<Outgoing>;

/// The body of one stream's HTTP response.
pub(super) struct ResponseBody {
    receiver: mpsc::Receiver<Outgoing>,
    identifier: String,
    message: Option<Message>,
    ended: bool,
}

/// A channel with room for one: the next response is made when this one is on its way.
pub(super) fn channel(identifier: String) -> (Sender, ResponseBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ResponseBody { receiver, identifier, message: None, ended: false })
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.message.as_mut().and_then(Message::next_piece) {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            // Most streams are silent after a response for a long time.
            self.message = None;
            if self.ended {
                return Poll::Ready(None);
            }
            let status = match ready!(self.receiver.poll_recv(context)) {
                Some(Outgoing::Response(response)) => {
                    self.message = Some(Message::new(*response, &self.identifier));
                    continue;
                }
                Some(Outgoing::Answer { type_url, nonce, resources, protocol }) => {
                    let response = answer(type_url, nonce, resources, protocol);
                    self.message = Some(Message::new(response, &self.identifier));
                    continue;
                }
                Some(Outgoing::End(status)) => status,
                None => Status::new(Code::Ok, ""),
            };
            self.ended = true;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
    }
}

/// A response in gRPC's frame, on its way.
struct Message {
    protocol: Protocol,
    /// Made and not yet in a piece: the fields around resources.
    own: BytesMut,
    /// Comes after `own`: the encoded resource.
    shared: Bytes,
    /// Those that follow.
    resources: std::vec::IntoIter<Arc<Resource>>,
    /// What follows the resources.
    tail: BytesMut,
    /// In bytes, of all of it.
    remaining: usize,
}

impl Message {
    fn new(response: Response, identifier: &str) -> Self {
        let protocol = response.protocol;
        let mut head = BytesMut::new();
        put_string(&mut head, 1, &response.version);
        let tail = tail_of(&response, identifier);
        let mut scratch = BytesMut::new();
        let resources = response.resources.iter().map(|resource| {
            scratch.clear();
            put_start_of(&mut scratch, resource, protocol);
            scratch.len() + resource.any.len()
        });
        let length = head.len() + resources.sum::<usize>() + tail.len();
        let mut own = BytesMut::with_capacity(PREFIX + head.len());
        // Not compressed.
        own.put_u8(0);
        // Four bytes of length bound a gRPC message; a response is far below that.
        own.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        own.put_slice(&head);
        Self {
            protocol,
            own,
            shared: Bytes::new(),
            resources: response.resources.into_iter(),
            tail,
            remaining: PREFIX + length,
        }
    }

    /// At most [`PIECE`] bytes; `None` after the last.
    fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = BytesMut::with_capacity(self.remaining.min(PIECE));
        while piece.len() < PIECE && self.has_more() {
            let own = self.own.len().min(PIECE - piece.len());
            piece.put_slice(&self.own[..own]);
            self.own.advance(own);
            let shared = self.shared.len().min(PIECE - piece.len());
            piece.put_slice(&self.shared[..shared]);
            self.shared.advance(shared);
        }
        self.remaining = self.remaining.saturating_sub(piece.len());
        (!piece.is_empty()).then(|| piece.freeze())
    }

    /// Whether bytes are ready, now that the next resource was looked for where there were none.
    fn has_more(&mut self) -> bool {
        if self.own.is_empty() && self.shared.is_empty() {
            match self.resources.next() {
                Some(resource) => {
                    self.own.clear();
                    put_start_of(&mut self.own, &resource, self.protocol);
                    self.shared = resource.any.clone();
                }
                None => self.own = std::mem::take(&mut self.tail),
            }
        }
        !self.own.is_empty() || !self.shared.is_empty()
    }
}

/// The fields of a response that come after its resources.
fn tail_of(response: &Response, identifier: &str) -> BytesMut {
    let mut tail = BytesMut::new();
    put_string(&mut tail, 4, &response.type_url);
    put_string(&mut tail, 5, &response.nonce);
    let control_plane = match response.protocol {
        Protocol::StateOfTheWorld => 6,
        Protocol::Delta => {
            for name in &response.removed {
                put_string(&mut tail, 6, name);
            }
            7
        }
    };
    if !identifier.is_empty() {
        put_header(&mut tail, control_plane, string_field_len(1, identifier));
        put_string(&mut tail, 1, identifier);
    }
    tail
}

/// The fields of a resource up to its encoded `Any`.
fn put_start_of(bytes: &mut BytesMut, resource: &Resource, protocol: Protocol) {
    if protocol == Protocol::Delta {
        let version = format!("{:x}", resource.version);
        let any =
            encoded_len_varint(2 << 3) + encoded_len_varint(resource.any.len() as u64) + resource.any.len();
        let name = if resource.name.is_empty() { 0 } else { string_field_len(3, &resource.name) };
        put_header(bytes, 2, string_field_len(1, &version) + name + any);
        put_string(bytes, 1, &version);
        put_string(bytes, 3, &resource.name);
    }
    put_header(bytes, 2, resource.any.len());
}

fn put_string(bytes: &mut BytesMut, field: u64, text: &str) {
    if !text.is_empty() {
        put_header(bytes, field, text.len());
        bytes.put_slice(text.as_bytes());
    }
}

fn put_header(bytes: &mut BytesMut, field: u64, length: usize) {
    encode_varint(field << 3 | LENGTH_DELIMITED, bytes);
    encode_varint(length as u64, bytes);
}

fn string_field_len(field: u64, text: &str) -> usize {
    encoded_len_varint(field << 3) + encoded_len_varint(text.len() as u64) + text.len()
}

fn answer(type_url: String, nonce: String, resources: Vec<Bytes>, protocol: Protocol) -> Response {
    let resources = resources
        .into_iter()
        .enumerate()
        .map(|(number, any)| {
            Arc::new(Resource { name: number.to_string().into(), version: number as u64, any })
        })
        .collect();
    Response { type_url, version: nonce.clone(), nonce, resources, removed: Vec::new(), protocol }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::{
        config::cluster::v3::Cluster,
        service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
    };
    use prost::Message as _;

    use super::*;
    use crate::{Resource, type_url};

    /// The message in gRPC's frame, whose length is checked.
    fn encoded(response: &Response) -> Vec<u8> {
        let mut message = Message::new(response.clone(), "id");
        let promised = message.remaining;
        let pieces: Vec<Bytes> = std::iter::from_fn(|| message.next_piece()).collect();
        assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == PIECE), "all but the last are full");
        let bytes = pieces.concat();
        assert_eq!((bytes.len(), message.remaining), (promised, 0));
        assert_eq!(
            bytes[..PREFIX],
            [&[0], &u32::try_from(promised - PREFIX).unwrap().to_be_bytes()[..]].concat()
        );
        bytes[PREFIX..].to_vec()
    }

    #[test]
    fn prost_reads_what_is_written_by_hand() {
        let clusters: Vec<Cluster> = ["a", "b", "c"]
            .map(|name| Cluster {
                name: name.into(),
                alt_stat_name: name.repeat(100_000),
                ..Default::default()
            })
            .into();
        let resource =
            |cluster: &Cluster| Arc::new(Resource::encode(cluster.name.as_str(), type_url::CLUSTER, cluster));
        let mut response = Response {
            type_url: type_url::CLUSTER.into(),
            nonce: "n-1".into(),
            version: "v".into(),
            resources: clusters.iter().map(resource).collect(),
            removed: vec!["gone".into()],
            protocol: Protocol::Delta,
        };
        let delta = DeltaDiscoveryResponse::decode(&*encoded(&response)).unwrap();
        let names: Vec<_> = delta.resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(delta.removed_resources, ["gone"]);
        assert_eq!((delta.nonce.as_str(), delta.control_plane.unwrap().identifier.as_str()), ("n-1", "id"));
        response.protocol = Protocol::StateOfTheWorld;
        let whole = DiscoveryResponse::decode(&*encoded(&response)).unwrap();
        let decoded: Vec<_> =
            whole.resources.iter().map(|any| Cluster::decode(&*any.value).unwrap()).collect();
        assert_eq!((decoded, whole.version_info.as_str(), whole.nonce.as_str()), (clusters, "v", "n-1"));
        assert_eq!(whole.control_plane.unwrap().identifier, "id");
    }

    #[test]
    fn a_response_without_resources_is_a_message() {
        let response = answer("type".into(), "n".into(), Vec::new(), Protocol::StateOfTheWorld);
        assert_eq!(DiscoveryResponse::decode(&*encoded(&response)).unwrap().nonce, "n");
    }
}
