//! Reading a request's body before the request goes on, for filters that need it.

use bytes::{Bytes, BytesMut};

use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;
use crate::http::reply::Replier;

impl Exchange {
    /// Gathers up to `most` bytes of the body, and whether there is more; what was read stays in front of the rest. More than that is refused
    /// unless a part will do (`partial`). `None` = an answer of our own is ready.
    pub(super) async fn gather(
        &mut self,
        most: usize,
        partial: bool,
        body: &mut Body,
        replier: &mut Replier,
    ) -> Option<(Bytes, bool)> {
        if body.is_done() {
            return Some((Bytes::new(), false));
        }
        if std::mem::take(&mut self.request.expect_continue) && replier.send_continue().await.is_err() {
            return self.client_is_gone();
        }
        let mut read = BytesMut::new();
        let ended = loop {
            if read.len() > most || (partial && read.len() >= most) {
                break false;
            }
            match body.next().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece),
                Ok(None) => break true,
                Err(_) => return self.client_is_gone(),
            }
        };
        if !ended && !partial {
            self.info.details = "request_payload_too_large".into();
            self.own(413, b"Payload Too Large", Flags::default());
            return None;
        }
        let read = read.freeze();
        let part = read.slice(..read.len().min(most));
        body.put_back(read);
        Some((part, !ended))
    }

    fn client_is_gone<T>(&mut self) -> Option<T> {
        self.info.details = "downstream_remote_disconnect".into();
        self.own(400, b"", Flags::DOWNSTREAM_TERMINATION);
        self.gone = true;
        None
    }
}
