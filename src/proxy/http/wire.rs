//! One HTTP/1 connection: a stream with a read buffer and a write buffer, usable from both directions of a request.
//!
//! Buffers are lent: a connection that waits for its peer with nothing buffered holds none, and gets one of the thread's
//! spare buffers once bytes are there.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::listen::stream::{Prefixed, Stream};

/// Room of a fresh buffer.
const READ: usize = 16 * 1024;
/// Most room asked for at a read, when the peer keeps filling what it is given.
const READ_MOST: usize = 64 * 1024;
/// Buffered output that is written out before more is taken.
pub(crate) const FLUSH_AT: usize = 32 * 1024;
/// Spare buffers that a thread keeps.
const SPARE: usize = 256;

thread_local! {
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// One of the thread's spare buffers, or a fresh one.
pub(crate) fn borrow_buffer() -> BytesMut {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Takes a buffer back. Only one that is whole again (nothing of it is lent out) and of the usual size is kept.
fn return_buffer(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(READ) && buffer.capacity() <= READ * 2 {
        BUFFERS.with_borrow_mut(|spare| {
            if spare.len() < SPARE {
                spare.push(buffer);
            }
        });
    }
}

/// How many spare buffers this thread has.
#[cfg(test)]
pub(crate) fn spare_buffers() -> usize {
    BUFFERS.with_borrow(Vec::len)
}

/// One connection. Borrows last for one poll only, so reading and writing may be awaited side by side.
#[derive(Debug)]
pub(crate) struct Wire {
    io: RefCell<Stream>,
    pub(crate) input: RefCell<BytesMut>,
    pub(crate) output: RefCell<BytesMut>,
    room: Cell<usize>,
}

impl Wire {
    pub(crate) fn new(io: Stream, input: BytesMut) -> Self {
        Self {
            io: RefCell::new(io),
            input: RefCell::new(input),
            output: RefCell::new(BytesMut::new()),
            room: Cell::new(READ),
        }
    }

    /// Reads once; 0 = the peer is done.
    pub(crate) async fn fill(&self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut input = self.input.borrow_mut();
        let polled = match &mut *self.io.borrow_mut() {
            Stream::Plain(plain) => poll_plain(plain, cx, &mut input, self.room.get()),
            Stream::Server(tls) => poll_buffered(Pin::new(&mut **tls), cx, &mut input),
            Stream::Client(tls) => poll_buffered(Pin::new(&mut **tls), cx, &mut input),
        };
        if polled.is_pending() && input.is_empty() && input.capacity() > 0 {
            return_buffer(std::mem::take(&mut *input));
        }
        if let Poll::Ready(Ok(count)) = polled {
            // A full buffer means more is waiting: larger steps cost fewer system calls.
            let room = if count >= self.room.get() { (count * 2).min(READ_MOST) } else { READ };
            self.room.set(room);
        }
        polled
    }

    /// Returns once the peer has closed. Looks while `waiting` says so and nothing of the next request is here.
    pub(crate) async fn closed(&self, waiting: impl Fn() -> bool) {
        poll_fn(|cx| {
            if !waiting() || !self.input.borrow().is_empty() {
                return Poll::Pending;
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }

    /// Room for output: takes a spare buffer when there is none.
    pub(crate) fn output(&self) -> std::cell::RefMut<'_, BytesMut> {
        let mut output = self.output.borrow_mut();
        if output.capacity() == 0 {
            *output = borrow_buffer();
        }
        output
    }

    /// Writes the output buffer out.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        if self.output.borrow().is_empty() {
            return Ok(());
        }
        poll_fn(|cx| {
            let mut output = self.output.borrow_mut();
            let mut io = self.io.borrow_mut();
            ready!(poll_write_all(&mut io, cx, &mut output))?;
            return_buffer(std::mem::take(&mut *output));
            Pin::new(&mut *io).poll_flush(cx)
        })
        .await
    }

    /// Writes the first `count` bytes that `from` has buffered, without copying them.
    pub(crate) async fn pass(&self, from: &Self, mut count: usize) -> io::Result<()> {
        poll_fn(|cx| {
            let mut input = from.input.borrow_mut();
            while count > 0 {
                let end = count.min(input.len());
                let written = ready!(Pin::new(&mut *self.io.borrow_mut()).poll_write(cx, &input[..end]))?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into()).into();
                }
                input.advance(written);
                count -= written;
            }
            Pin::new(&mut *self.io.borrow_mut()).poll_flush(cx)
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
        for buffer in [&self.input, &self.output] {
            let mut buffer = buffer.borrow_mut();
            if buffer.is_empty() && buffer.capacity() > 0 {
                return_buffer(std::mem::take(&mut *buffer));
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            return_buffer(std::mem::take(buffer.get_mut()));
        }
    }
}

fn make_room(input: &mut BytesMut, room: usize) {
    if input.capacity() == 0 {
        *input = borrow_buffer();
    }
    // What is left of the usual buffer is enough while it is not almost used up.
    if room > READ || input.capacity() - input.len() < READ / 4 {
        input.reserve(room);
    }
}

/// Asks for readiness first, so that a connection that waits holds no buffer.
fn poll_plain(
    plain: &mut Prefixed,
    cx: &mut Context<'_>,
    input: &mut BytesMut,
    room: usize,
) -> Poll<io::Result<usize>> {
    if plain.prefix.is_empty() {
        ready!(plain.io.poll_read_ready(cx))?;
    }
    make_room(input, room);
    poll_read_buf(Pin::new(plain), cx, input)
}

/// Takes decrypted bytes from the TLS session's own buffer.
fn poll_buffered<S: AsyncBufRead + AsyncRead>(
    mut stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    input: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let count = {
        let ready = ready!(stream.as_mut().poll_fill_buf(cx))?;
        make_room(input, ready.len().max(READ));
        input.extend_from_slice(ready);
        ready.len()
    };
    stream.consume(count);
    Poll::Ready(Ok(count))
}

fn poll_write_all(io: &mut Stream, cx: &mut Context<'_>, output: &mut BytesMut) -> Poll<io::Result<()>> {
    while output.has_remaining() {
        let count = ready!(Pin::new(&mut *io).poll_write(cx, output))?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into()).into();
        }
        output.advance(count);
    }
    Poll::Ready(Ok(()))
}
