//! The request side of a stream: gRPC messages out of the body's frames. Keeps no buffer between messages: thousands of clients are
//! silent most of the time, and each of them asks for the names of a thousand clusters when it asks.

use std::{future::poll_fn, marker::PhantomData, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use tonic::Status;

use super::stream::AnyRequest;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request, however it came here.
pub(super) trait RequestBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> RequestBody for B {}

/// gRPC's frame: one byte for compression, four of length.
const PREFIX: usize = 5;

/// Room for so many bytes is made before they came: enough for the names of a thousand clusters, and no more than a client that
/// promises much and sends nothing should cost.
const AT_ONCE: usize = 64 << 10;

/// The messages that a client sends.
pub(super) struct Requests<M, B> {
    body: Pin<Box<B>>,
    /// What came and is no whole message yet.
    pending: BytesMut,
    /// Largest message in bytes.
    limit: usize,
    message: PhantomData<fn() -> M>,
}

impl<M: AnyRequest, B: RequestBody> Requests<M, B> {
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self { body: Box::pin(body), pending: BytesMut::new(), limit, message: PhantomData }
    }

    /// The next message; `None` when the client has no more to say. May be dropped while it waits: nothing is lost.
    pub(super) async fn message(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let frame = poll_fn(|context| self.body.as_mut().poll_frame(context)).await;
            let Some(frame) = frame else {
                return if self.pending.is_empty() {
                    Ok(None)
                } else {
                    Err(Status::internal("the stream ended within a message"))
                };
            };
            let frame = frame.map_err(|error| Status::from_error(error.into()))?;
            // What is no data are trailers; a client has nothing to say there.
            if let Ok(data) = frame.into_data() {
                self.pending.extend_from_slice(&data);
            }
        }
    }

    /// A message that is there as a whole.
    fn take(&mut self) -> Result<Option<M>, Status> {
        let Some((prefix, rest)) = self.pending.split_at_checked(PREFIX) else { return Ok(None) };
        if prefix[0] != 0 {
            return Err(Status::unimplemented("compressed requests are not supported"));
        }
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > self.limit {
            let limit = self.limit;
            return Err(Status::out_of_range(format!(
                "a request of {length} bytes is over the limit of {limit}"
            )));
        }
        if let Some(missing) = length.checked_sub(rest.len()).filter(|&missing| missing > 0) {
            self.pending.reserve(missing.min(AT_ONCE));
            return Ok(None);
        }
        self.pending.advance(PREFIX);
        let message = M::read(self.pending.split_to(length).freeze());
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        message.map(Some).map_err(|error| Status::internal(format!("a request cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll},
    };

    use http_body::Frame;
    use prost::Message;
    use tonic::Code;

    use super::*;
    use crate::DiscoveryRequest;

    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn encoded(request: &DiscoveryRequest) -> Vec<u8> {
        let body = request.encode_to_vec();
        let mut message = vec![0];
        message.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        message.extend(body);
        message
    }

    fn requests(bytes: &[u8], piece: usize, limit: usize) -> Requests<DiscoveryRequest, Frames> {
        Requests::new(Frames(bytes.chunks(piece).map(Bytes::copy_from_slice).collect()), limit)
    }

    #[tokio::test]
    async fn messages_come_out_however_they_were_cut() {
        let one = DiscoveryRequest::new("one", [], "");
        let empty = DiscoveryRequest::default();
        let bytes = [encoded(&one), encoded(&empty), encoded(&one)].concat();
        for piece in 1..=bytes.len() {
            let mut requests = requests(&bytes, piece, 100);
            for expected in [&one, &empty, &one] {
                assert_eq!(requests.message().await.unwrap().as_ref(), Some(expected));
            }
            assert!(requests.message().await.unwrap().is_none());
            assert_eq!(requests.pending.capacity(), 0, "nothing is kept for the next");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream() {
        let bytes = encoded(&DiscoveryRequest::new(&"x".repeat(50), [], ""));
        let code = async |bytes: &[u8]| requests(bytes, 7, 51).message().await.unwrap_err().code();
        assert_eq!(code(&bytes).await, Code::OutOfRange);
        assert_eq!(code(&bytes[..3]).await, Code::Internal, "cut off");
        assert_eq!(code(&[1, 0, 0, 0, 0]).await, Code::Unimplemented, "compressed");
        assert_eq!(code(&[0, 0, 0, 0, 1, 0xff]).await, Code::Internal, "no protobuf");
    }
}
