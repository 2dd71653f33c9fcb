//! A connection: frames in, streams out.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::ProtocolError;
use super::frame::{self, Frame, ResetStatus};
use super::header_block::{Decoder, Encoder};
use super::stream::{Outgoing, SpdyStream};

/// Most streams that may be open at a time; a forwarded connection is two.
const STREAM_LIMIT: usize = 2048;
/// Frames that may wait for a slow connection.
const FRAME_QUEUE: usize = 32;
/// Pieces of data that may wait in one stream.
const PIECE_QUEUE: usize = 32;
/// Streams that may wait to be served.
const ACCEPT_QUEUE: usize = 16;
/// How long the client may take to hang up after everything was said.
const LINGER: Duration = Duration::from_secs(5);

/// The two directions of a byte stream underneath.
pub(in super::super) struct Transport {
    pub(in super::super) source: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    pub(in super::super) sink: Pin<Box<dyn Sink<Bytes, Error = io::Error> + Send>>,
}

/// Serves a connection until it ends or, after `application` is done with the streams, the client had time to hang up.
pub(in super::super) async fn serve<F: Future<Output = ()>>(
    transport: Transport,
    application: impl FnOnce(mpsc::Receiver<SpdyStream>) -> F,
) {
    let Transport { source, mut sink } = transport;
    let (frames, mut queue) = mpsc::channel::<Bytes>(FRAME_QUEUE);
    let (accept, accepted) = mpsc::channel(ACCEPT_QUEUE);
    let gone = CancellationToken::new();
    let _cancelled_at_the_end = gone.clone().drop_guard();
    let reader = Reader {
        decoder: Decoder::new(),
        encoder: Encoder::default(),
        streams: HashMap::new(),
        last_stream: 0,
        permits: Arc::new(Semaphore::new(STREAM_LIMIT)),
        frames,
        accept,
        gone,
    };
    let write = async {
        while let Some(frame) = queue.recv().await {
            let sent = if queue.is_empty() { sink.send(frame).await } else { sink.feed(frame).await };
            if sent.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let read = async {
        if let Err(error) = reader.run(source).await {
            tracing::debug!(%error, "a SPDY connection ends");
        }
        // What is queued, a farewell among it, still goes out: the senders are gone, so `write` ends.
        std::future::pending::<()>().await;
    };
    let serve = async {
        application(accepted).await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        () = write => {}
        () = read => {}
        () = serve => {}
    }
}

/// The client's side of a stream that it has not finished.
struct Open {
    pieces: mpsc::Sender<Bytes>,
    gone: CancellationToken,
}

struct Reader {
    decoder: Decoder,
    encoder: Encoder,
    streams: HashMap<u32, Open>,
    last_stream: u32,
    permits: Arc<Semaphore>,
    frames: mpsc::Sender<Bytes>,
    accept: mpsc::Sender<SpdyStream>,
    gone: CancellationToken,
}

impl Reader {
    async fn run(
        mut self,
        mut source: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    ) -> Result<(), ProtocolError> {
        let mut buffer = BytesMut::new();
        let result = loop {
            let Some(Ok(bytes)) = source.next().await else { break Ok(()) };
            buffer.extend_from_slice(&bytes);
            if let Err(error) = self.drain(&mut buffer).await {
                let _ = self.frames.send(frame::go_away(self.last_stream)).await;
                break Err(error);
            }
        };
        // Streams whose end was not seen are broken off, not finished.
        self.gone.cancel();
        result
    }

    async fn drain(&mut self, buffer: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(frame) = frame::take(buffer)? {
            self.handle(frame).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        match frame {
            Frame::SynStream { stream, finished, header_block } => {
                self.open(stream, finished, &header_block).await?;
            }
            Frame::Headers { stream, finished, header_block } => {
                // Nobody reads later headers, but the compression goes on through them.
                self.decoder.decode(&header_block)?;
                if finished {
                    self.streams.remove(&stream);
                }
            }
            Frame::Data { stream, finished, data } => self.data(stream, finished, data).await,
            Frame::Reset { stream } => {
                if let Some(open) = self.streams.remove(&stream) {
                    open.gone.cancel();
                }
            }
            Frame::Ping(id) if id % 2 == 1 => self.send(frame::ping(id)).await,
            Frame::Ping(_) | Frame::Other => {}
        }
        Ok(())
    }

    async fn open(&mut self, stream: u32, finished: bool, block: &[u8]) -> Result<(), ProtocolError> {
        let headers = self.decoder.decode(block)?;
        if stream.is_multiple_of(2) || stream <= self.last_stream {
            self.send(frame::reset(stream, ResetStatus::ProtocolError)).await;
            return Ok(());
        }
        self.last_stream = stream;
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            self.send(frame::reset(stream, ResetStatus::RefusedStream)).await;
            return Ok(());
        };
        let (pieces, incoming) = mpsc::channel(PIECE_QUEUE);
        let gone = self.gone.child_token();
        if !finished {
            self.streams.insert(stream, Open { pieces, gone: gone.clone() });
        }
        let reply = frame::syn_reply(stream, &self.encoder.empty_block());
        self.send(reply).await;
        let outgoing = Outgoing { stream, frames: self.frames.clone() };
        let opened = SpdyStream { headers, incoming, gone, outgoing, _permit: permit };
        // Nobody who would serve it: the client hears nothing more and hangs up.
        let _ = self.accept.send(opened).await;
        Ok(())
    }

    async fn data(&mut self, stream: u32, finished: bool, data: Bytes) {
        let Some(open) = self.streams.get(&stream) else {
            // One that was finished or reset may still have data on the way; one that never was is an error.
            if stream > self.last_stream {
                self.send(frame::reset(stream, ResetStatus::InvalidStream)).await;
            }
            return;
        };
        if !data.is_empty() {
            // Whoever served the stream may be done with it; then nobody wants the data.
            let _ = open.pieces.send(data).await;
        }
        if finished {
            self.streams.remove(&stream);
        }
    }

    async fn send(&self, frame: Bytes) {
        let _ = self.frames.send(frame).await;
    }
}
