//! One HTTP/1 connection: a stream with a read buffer and a write buffer, usable from both directions of a request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::stream::Stream;

/// Room asked for at each read.
const READ: usize = 16 * 1024;
/// Buffered output that is written out before more is taken.
pub(crate) const FLUSH_AT: usize = 32 * 1024;

/// One connection. Borrows last for one poll only, so reading and writing may be awaited side by side.
#[derive(Debug)]
pub(crate) struct Wire {
    io: RefCell<Stream>,
    pub(crate) input: RefCell<BytesMut>,
    pub(crate) output: RefCell<BytesMut>,
}

impl Wire {
    pub(crate) fn new(io: Stream, input: BytesMut) -> Self {
        Self { io: RefCell::new(io), input: RefCell::new(input), output: RefCell::new(BytesMut::new()) }
    }

    /// Reads once; 0 = the peer is done.
    pub(crate) async fn fill(&self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut input = self.input.borrow_mut();
            input.reserve(READ);
            let start = input.len();
            // Zeroing is bounded by READ; a full buffer is not zeroed again because `reserve` keeps what is there.
            input.resize(start + READ, 0);
            let mut window = ReadBuf::new(&mut input[start..]);
            let polled = Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, &mut window);
            let count = window.filled().len();
            input.truncate(start + count);
            ready!(polled)?;
            Ok(count).into()
        })
        .await
    }

    /// Writes the output buffer out.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        if self.output.borrow().is_empty() {
            return Ok(());
        }
        poll_fn(|cx| {
            let mut output = self.output.borrow_mut();
            let mut io = self.io.borrow_mut();
            while output.has_remaining() {
                let count = ready!(Pin::new(&mut *io).poll_write(cx, &output))?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into()).into();
                }
                output.advance(count);
            }
            Pin::new(&mut *io).poll_flush(cx)
        })
        .await
    }

    /// Ends the writing direction.
    pub(crate) async fn shutdown(&self) {
        let _ = poll_fn(|cx| Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx)).await;
    }

    /// See [`Stream::has_news`]; buffered bytes are news too.
    pub(crate) fn has_news(&self) -> bool {
        !self.input.borrow().is_empty() || self.io.borrow().has_news()
    }

    /// Gives buffers back while a connection idles.
    pub(crate) fn rest(&self) {
        let mut input = self.input.borrow_mut();
        if input.is_empty() && input.capacity() > READ {
            *input = BytesMut::new();
        }
        let mut output = self.output.borrow_mut();
        if output.is_empty() && output.capacity() > FLUSH_AT {
            *output = BytesMut::new();
        }
    }
}
