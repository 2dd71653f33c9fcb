//! One stream of a connection, as those who serve it see it.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::frame::{self, ResetStatus};
use super::header_block::Headers;

/// A stream that the client opened.
pub(in super::super) struct SpdyStream {
    pub(super) headers: Headers,
    /// What the client sends; ends when it half-closes or is gone.
    pub(in super::super) incoming: mpsc::Receiver<Bytes>,
    /// Cancelled when the client resets the stream, or the connection is gone.
    pub(in super::super) gone: CancellationToken,
    /// What is sent to the client.
    pub(in super::super) outgoing: Outgoing,
    /// Counts the stream among those that may be open.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl SpdyStream {
    /// A header's value, `""` where absent. Names are lower case in SPDY.
    pub(in super::super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The server's side of a stream.
#[derive(Clone)]
pub(in super::super) struct Outgoing {
    pub(super) stream: u32,
    pub(super) frames: mpsc::Sender<Bytes>,
}

impl Outgoing {
    /// Sends data; false when the connection is gone.
    pub(in super::super) async fn send(&self, bytes: &[u8]) -> bool {
        self.frames.send(frame::data(self.stream, false, bytes)).await.is_ok()
    }

    /// Half-closes.
    pub(in super::super) async fn finish(&self) {
        // A connection that is gone has finished too.
        let _ = self.frames.send(frame::data(self.stream, true, &[])).await;
    }

    /// Ends both directions at once.
    pub(in super::super) async fn reset(&self) {
        let _ = self.frames.send(frame::reset(self.stream, ResetStatus::Cancel)).await;
    }
}
