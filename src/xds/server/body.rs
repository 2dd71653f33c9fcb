//! The response side of a stream: encodes responses straight into pieces of at most 64 KiB, copying each resource's bytes once.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::session::{Protocol, Response};

/// Size after which a piece is handed to the connection.
const PIECE: usize = 64 * 1024;
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
    pieces: VecDeque<Bytes>,
    ended: bool,
}

/// A channel with room for one: the next response is made when this one is on its way.
pub(super) fn channel(identifier: String) -> (Sender, ResponseBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ResponseBody { receiver, identifier, pieces: VecDeque::new(), ended: false })
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if !self.pieces.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.next_piece()))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let status = match ready!(self.receiver.poll_recv(context)) {
                Some(Outgoing::Response(response)) => {
                    self.pieces = encode_response(&response, &self.identifier);
                    continue;
                }
                Some(Outgoing::Answer { type_url, nonce, resources, protocol }) => {
                    self.pieces = encode_answer(&type_url, &nonce, resources, protocol, &self.identifier);
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

impl ResponseBody {
    fn next_piece(&mut self) -> Bytes {
        let mut piece = BytesMut::with_capacity(self.size_of_next());
        while piece.len() < PIECE
            && let Some(mut next) = self.pieces.pop_front()
        {
            let room = (PIECE - piece.len()).min(next.len());
            piece.put_slice(&next.split_to(room));
            if !next.is_empty() {
                self.pieces.push_front(next);
            }
        }
        if self.pieces.is_empty() {
            // A response has two pieces for each of its resources; most streams are silent after it for a long time.
            self.pieces = VecDeque::new();
        }
        piece.freeze()
    }

    fn size_of_next(&self) -> usize {
        let mut size = 0;
        for piece in &self.pieces {
            size += piece.len();
            if size >= PIECE {
                return PIECE;
            }
        }
        size
    }
}

/// Collects a message out of small own bytes and large shared ones, which are copied only when it is their turn.
#[derive(Default)]
struct Message {
    pieces: VecDeque<Bytes>,
    open: BytesMut,
}

impl Message {
    fn string(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.header(field, text.len());
            self.open.put_slice(text.as_bytes());
        }
    }

    fn header(&mut self, field: u64, length: usize) {
        encode_varint(field << 3 | LENGTH_DELIMITED, &mut self.open);
        encode_varint(length as u64, &mut self.open);
    }

    fn shared(&mut self, field: u64, bytes: &Bytes) {
        self.header(field, bytes.len());
        self.close();
        self.pieces.push_back(bytes.clone());
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push_back(self.open.split().freeze());
        }
    }

    /// Puts gRPC's prefix (no compression, length) in front.
    fn finish(mut self) -> VecDeque<Bytes> {
        self.close();
        let length: usize = self.pieces.iter().map(Bytes::len).sum();
        let mut prefix = BytesMut::with_capacity(5);
        prefix.put_u8(0);
        // Four bytes of length bound a gRPC message; a response is far below that.
        prefix.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        self.pieces.push_front(prefix.freeze());
        self.pieces
    }

    fn control_plane(&mut self, field: u64, identifier: &str) {
        if !identifier.is_empty() {
            self.header(field, string_field_len(1, identifier));
            self.string(1, identifier);
        }
    }
}

fn string_field_len(field: u64, text: &str) -> usize {
    encoded_len_varint(field << 3) + encoded_len_varint(text.len() as u64) + text.len()
}

fn encode_response(response: &Response, identifier: &str) -> VecDeque<Bytes> {
    let mut message = Message::default();
    message.string(1, &response.version);
    for resource in &response.resources {
        match response.protocol {
            Protocol::StateOfTheWorld => message.shared(2, &resource.any),
            Protocol::Delta => {
                let version = format!("{:x}", resource.version);
                let any = encoded_len_varint(2 << 3)
                    + encoded_len_varint(resource.any.len() as u64)
                    + resource.any.len();
                let name = if resource.name.is_empty() { 0 } else { string_field_len(3, &resource.name) };
                message.header(2, string_field_len(1, &version) + name + any);
                message.string(1, &version);
                message.string(3, &resource.name);
                message.shared(2, &resource.any);
            }
        }
    }
    message.string(4, &response.type_url);
    message.string(5, &response.nonce);
    match response.protocol {
        Protocol::StateOfTheWorld => message.control_plane(6, identifier),
        Protocol::Delta => {
            for name in &response.removed {
                message.string(6, name);
            }
            message.control_plane(7, identifier);
        }
    }
    message.finish()
}

fn encode_answer(
    type_url: &str,
    nonce: &str,
    resources: Vec<Bytes>,
    protocol: Protocol,
    identifier: &str,
) -> VecDeque<Bytes> {
    let resources = resources
        .into_iter()
        .enumerate()
        .map(|(number, any)| {
            Arc::new(crate::Resource { name: number.to_string().into(), version: number as u64, any })
        })
        .collect();
    let response = Response {
        type_url: type_url.to_owned(),
        nonce: nonce.to_owned(),
        version: nonce.to_owned(),
        resources,
        removed: Vec::new(),
        protocol,
    };
    encode_response(&response, identifier)
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

    fn joined(mut pieces: VecDeque<Bytes>) -> Vec<u8> {
        pieces.pop_front();
        pieces.into_iter().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn prost_reads_what_is_written_by_hand() {
        let cluster = Cluster { name: "a".into(), alt_stat_name: "x".repeat(100_000), ..Default::default() };
        let resource = Arc::new(Resource::encode("a", type_url::CLUSTER, &cluster));
        let mut response = Response {
            type_url: type_url::CLUSTER.into(),
            nonce: "n-1".into(),
            version: "v".into(),
            resources: vec![resource],
            removed: vec!["gone".into()],
            protocol: Protocol::Delta,
        };
        let delta = DeltaDiscoveryResponse::decode(&*joined(encode_response(&response, "id"))).unwrap();
        assert_eq!(delta.resources[0].name, "a");
        assert_eq!(delta.removed_resources, ["gone"]);
        assert_eq!(delta.control_plane.unwrap().identifier, "id");
        response.protocol = Protocol::StateOfTheWorld;
        let sotw = DiscoveryResponse::decode(&*joined(encode_response(&response, "id"))).unwrap();
        let decoded = Cluster::decode(&*sotw.resources[0].value).unwrap();
        assert_eq!((decoded, sotw.nonce.as_str()), (cluster, "n-1"));
    }
}
