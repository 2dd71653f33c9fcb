//! A connection that remembers when something last came or went.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// When a connection last carried a byte; before the first, when it was accepted.
pub(super) struct LastSeen {
    accepted: Instant,
    after_microseconds: AtomicU64,
}

impl LastSeen {
    pub(super) fn now() -> Self {
        Self { accepted: Instant::now(), after_microseconds: AtomicU64::new(0) }
    }

    pub(super) fn get(&self) -> Instant {
        self.accepted + Duration::from_micros(self.after_microseconds.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let after = u64::try_from(self.accepted.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.after_microseconds.store(after, Ordering::Relaxed);
    }
}

/// The connection; either direction counts.
pub(super) struct Seen {
    stream: TcpStream,
    last: Arc<LastSeen>,
}

impl Seen {
    pub(super) fn new(stream: TcpStream, last: Arc<LastSeen>) -> Self {
        Self { stream, last }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn noted<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(result, Poll::Ready(Ok(_))) {
            self.last.touch();
        }
        result
    }
}

impl AsyncRead for Seen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.noted(read)
    }
}

impl AsyncWrite for Seen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
