//! Bodies: reading them from either protocol, writing them to either protocol, streaming with backpressure.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;

use super::headers::HeaderList;
use super::wire::{FLUSH_AT, Wire};

/// Longest line of a chunked body (size with extensions, one trailer).
const LINE_LIMIT: usize = 8 * 1024;
/// Pieces up to this size are copied next to what is to be written with them; larger ones are not copied.
const COPY_LIMIT: usize = 8 * 1024;
/// Most bytes of all trailers.
const TRAILER_LIMIT: usize = 60 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the peer reset the stream")]
    H2(#[from] h2::Error),
    #[error("the chunked framing is broken")]
    Framing,
    #[error("the peer closed before the end of the body")]
    Truncated,
}

/// How the end of an HTTP/1 body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    Data(u64),
    End,
    Trailers,
    Done,
}

/// A body of an HTTP/1 message.
#[derive(Debug)]
pub(crate) struct H1Body {
    wire: Rc<Wire>,
    framing: Framing,
    chunk: Chunk,
    trailers: Option<HeaderList>,
}

/// A body from somewhere.
#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Full(Bytes),
    H1(H1Body),
    H2 {
        stream: h2::RecvStream,
        unreleased: usize,
    },
    /// Read to its end.
    Ended(Option<HeaderList>),
    /// A gzip stream of another body.
    Compressed(Box<super::compressed::Compressed>),
    /// Read from ahead of its time: `first` comes again, then the rest.
    Resumed {
        first: Bytes,
        rest: Box<Body>,
    },
}

impl Body {
    pub(crate) fn h1(wire: Rc<Wire>, framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Empty,
            _ => Self::H1(H1Body { wire, framing, chunk: Chunk::Size, trailers: None }),
        }
    }

    pub(crate) fn h2(stream: h2::RecvStream) -> Self {
        if stream.is_end_stream() { Self::Empty } else { Self::H2 { stream, unreleased: 0 } }
    }

    /// Whether nothing more comes; known without reading.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::H1(body) => body.framing == Framing::Length(0) || body.chunk == Chunk::Done,
            Self::H2 { .. } => false,
            Self::Ended(_) => true,
            Self::Compressed(body) => body.is_done(),
            Self::Resumed { first, rest } => first.is_empty() && rest.is_done(),
        }
    }

    /// Whether bytes of it may still come from the peer.
    pub(crate) fn is_on_its_way(&self) -> bool {
        match self {
            Self::Full(_) => false,
            Self::Compressed(body) => body.from.is_on_its_way(),
            Self::Resumed { rest, .. } => rest.is_on_its_way(),
            other => !other.is_done(),
        }
    }

    /// Puts back what was read of it.
    pub(crate) fn put_back(&mut self, first: Bytes) {
        if !first.is_empty() {
            let rest = Box::new(std::mem::replace(self, Self::Empty));
            *self = Self::Resumed { first, rest };
        }
    }

    /// The next piece; `None` = the end. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Empty => Ok(None),
            Self::Full(bytes) => Ok((!bytes.is_empty()).then(|| std::mem::take(bytes))),
            Self::H1(body) => body.next().await,
            Self::Ended(_) => Ok(None),
            Self::Compressed(body) => Box::pin(body.next()).await,
            Self::Resumed { first, .. } if !first.is_empty() => Ok(Some(std::mem::take(first))),
            Self::Resumed { rest, .. } => Box::pin(rest.next()).await,
            Self::H2 { stream, unreleased } => {
                if *unreleased > 0 {
                    let _ = stream.flow_control().release_capacity(std::mem::take(unreleased));
                }
                if let Some(piece) = stream.data().await {
                    let piece = piece?;
                    *unreleased = piece.len();
                    return Ok(Some(piece));
                }
                let trailers = stream.trailers().await?.map(|map| super::h2_map::to_list(&map));
                *self = Self::Ended(trailers);
                Ok(None)
            }
        }
    }

    /// Whether trailers have come; known once the body has ended.
    pub(crate) fn has_trailers(&self) -> bool {
        match self {
            Self::H1(body) => body.trailers.is_some(),
            Self::Ended(trailers) => trailers.is_some(),
            Self::Compressed(body) => body.from.has_trailers(),
            Self::Resumed { rest, .. } => rest.has_trailers(),
            Self::Empty | Self::Full(_) | Self::H2 { .. } => false,
        }
    }

    /// The trailers, once the body has ended.
    pub(crate) fn trailers(&mut self) -> Option<HeaderList> {
        match self {
            Self::H1(body) => body.trailers.take(),
            Self::Ended(trailers) => trailers.take(),
            Self::Compressed(body) => body.from.trailers(),
            Self::Resumed { rest, .. } => rest.trailers(),
            _ => None,
        }
    }
}

impl H1Body {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.step()? {
                Step::Piece(count) => {
                    let piece = self.wire.input.borrow_mut().split_to(count).freeze();
                    self.taken(count);
                    return Ok(Some(piece));
                }
                Step::End => return Ok(None),
                Step::More => self.more().await?,
            }
        }
    }

    /// What the bytes that are here already mean. Takes framing off the buffer, leaves the body's bytes in it.
    fn step(&mut self) -> Result<Step, BodyError> {
        match self.framing {
            Framing::Length(0) => Ok(Step::End),
            Framing::Length(left) => Ok(self.here(left)),
            Framing::UntilClose => Ok(self.here(u64::MAX)),
            Framing::Chunked => self.chunk_step(),
        }
    }

    /// How many of `limit` bytes are here.
    fn here(&self, limit: u64) -> Step {
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(self.wire.input.borrow().len());
        if count == 0 { Step::More } else { Step::Piece(count) }
    }

    /// Notes that `count` bytes of the body were taken off the buffer.
    fn taken(&mut self, count: usize) {
        let count = count as u64;
        match (&mut self.framing, &mut self.chunk) {
            (Framing::Length(left), _) => *left -= count,
            (Framing::Chunked, Chunk::Data(left)) if *left == count => self.chunk = Chunk::End,
            (Framing::Chunked, Chunk::Data(left)) => *left -= count,
            _ => {}
        }
    }

    /// Reads once. The end of the connection ends a body only when nothing else does.
    async fn more(&mut self) -> Result<(), BodyError> {
        if self.wire.fill().await? > 0 {
            return Ok(());
        }
        if self.framing == Framing::UntilClose {
            self.framing = Framing::Length(0);
            return Ok(());
        }
        Err(BodyError::Truncated)
    }

    fn chunk_step(&mut self) -> Result<Step, BodyError> {
        loop {
            match self.chunk {
                Chunk::Done => return Ok(Step::End),
                Chunk::Data(left) => return Ok(self.here(left)),
                Chunk::End => {
                    let mut input = self.wire.input.borrow_mut();
                    if input.len() < 2 {
                        return Ok(Step::More);
                    }
                    if &input[..2] != b"\r\n" {
                        return Err(BodyError::Framing);
                    }
                    input.advance(2);
                    self.chunk = Chunk::Size;
                }
                Chunk::Size => {
                    let Some(size) = self.line(chunk_size)? else { return Ok(Step::More) };
                    self.chunk = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
                }
                Chunk::Trailers => {
                    let mut trailers = self.trailers.take();
                    let last = self.line(|line| {
                        if line.is_empty() {
                            Ok(true)
                        } else {
                            add_trailer(&mut trailers, line).map(|()| false)
                        }
                    });
                    self.trailers = trailers;
                    match last? {
                        None => return Ok(Step::More),
                        Some(true) => self.chunk = Chunk::Done,
                        Some(false) => {}
                    }
                }
            }
        }
    }

    /// Hands `read` a line without its CR LF and takes it off the buffer. A bare LF or CR is an error.
    fn line<T>(&self, read: impl FnOnce(&[u8]) -> Result<T, BodyError>) -> Result<Option<T>, BodyError> {
        let mut input = self.wire.input.borrow_mut();
        let Some(end) = memchr::memchr(b'\n', &input) else {
            return if input.len() > LINE_LIMIT { Err(BodyError::Framing) } else { Ok(None) };
        };
        if end == 0
            || end > LINE_LIMIT
            || input[end - 1] != b'\r'
            || input[..end - 1].iter().any(|b| matches!(b, b'\r' | 0))
        {
            return Err(BodyError::Framing);
        }
        let value = read(&input[..end - 1])?;
        input.advance(end + 1);
        Ok(Some(value))
    }
}

fn add_trailer(trailers: &mut Option<HeaderList>, line: &[u8]) -> Result<(), BodyError> {
    let colon = memchr::memchr(b':', line).ok_or(BodyError::Framing)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let forbidden: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection"];
    if name.is_empty()
        || !name.iter().all(|b| super::codec::is_token(*b))
        || forbidden.iter().any(|f| name.eq_ignore_ascii_case(f))
    {
        return Err(BodyError::Framing);
    }
    let list = trailers.get_or_insert_default();
    if list.len() >= 100 || list.byte_size() + line.len() > TRAILER_LIMIT {
        return Err(BodyError::Framing);
    }
    list.append(name, value);
    Ok(())
}

enum Step {
    /// So many bytes of the body stand at the front of the buffer.
    Piece(usize),
    End,
    /// More must be read.
    More,
}

/// Strict: hexadecimal digits only, extension after `;`.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default();
    let digits = if digits.len() < line.len() { digits.trim_ascii_end() } else { digits };
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BodyError::Framing);
    }
    let text = std::str::from_utf8(digits).map_err(|_| BodyError::Framing)?;
    u64::from_str_radix(text, 16).map_err(|_| BodyError::Framing)
}

/// Where a body goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Nothing may follow the head.
    Closed,
    H1 {
        wire: Rc<Wire>,
        chunked: bool,
    },
    H2(h2::SendStream<Bytes>),
}

impl Sink {
    /// Takes a piece; writes out once enough has gathered.
    pub(crate) async fn data(&mut self, piece: Bytes) -> Result<(), BodyError> {
        match self {
            Self::Closed => Ok(()),
            Self::H1 { wire, chunked } => {
                {
                    let mut output = wire.output();
                    if *chunked {
                        chunk_head(&mut output, piece.len());
                    }
                    output.extend_from_slice(&piece);
                    if *chunked {
                        output.extend_from_slice(b"\r\n");
                    }
                }
                if wire.output.borrow().len() >= FLUSH_AT {
                    wire.flush().await?;
                }
                Ok(())
            }
            Self::H2(stream) => send_h2(stream, piece).await,
        }
    }

    /// Writes out what has gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), BodyError> {
        match self {
            Self::H1 { wire, .. } => Ok(wire.flush().await?),
            _ => Ok(()),
        }
    }

    /// Returns once the peer wants no more of the body.
    async fn reset(&mut self) {
        match self {
            Self::H2(stream) => {
                let reset = poll_fn(|cx| stream.poll_reset(cx)).await;
                drop(reset);
            }
            _ => std::future::pending().await,
        }
    }

    /// Ends the body.
    pub(crate) async fn finish(&mut self, trailers: Option<HeaderList>) -> Result<(), BodyError> {
        match std::mem::replace(self, Self::Closed) {
            Self::Closed => Ok(()),
            Self::H1 { wire, chunked } => {
                if chunked {
                    let mut output = wire.output();
                    output.extend_from_slice(b"0\r\n");
                    for (name, value) in trailers.iter().flat_map(HeaderList::iter) {
                        for part in [name, b": ", value, b"\r\n"] {
                            output.extend_from_slice(part);
                        }
                    }
                    output.extend_from_slice(b"\r\n");
                }
                Ok(wire.flush().await?)
            }
            Self::H2(mut stream) => {
                let _: () = match trailers {
                    Some(list) => stream.send_trailers(super::h2_map::to_map(&list))?,
                    None => stream.send_data(Bytes::new(), true)?,
                };
                Ok(())
            }
        }
    }

    /// Tells the peer that the body will not be completed.
    pub(crate) fn abort(&mut self, reason: h2::Reason) {
        if let Self::H2(stream) = self {
            stream.send_reset(reason);
        }
    }
}

async fn send_h2(stream: &mut h2::SendStream<Bytes>, mut piece: Bytes) -> Result<(), BodyError> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.ok_or(BodyError::Truncated)??;
        let part = piece.split_to(room.min(piece.len()));
        if !part.is_empty() {
            stream.send_data(part, false)?;
        }
    }
    Ok(())
}

fn chunk_head(output: &mut BytesMut, size: usize) {
    use std::fmt::Write;
    // Writing into a growing buffer cannot fail.
    let _ = write!(output, "{size:x}\r\n");
}

/// Moves a whole body with its trailers. `seen` sees every piece.
pub(crate) async fn pump(body: &mut Body, sink: &mut Sink, seen: impl FnMut(&[u8])) -> Result<(), PumpError> {
    pieces(body, sink, seen).await?;
    sink.finish(body.trailers()).await.map_err(PumpError::Sink)
}

/// Moves everything of a body but its end. Small pieces that are already here leave in one write with the head.
pub(crate) async fn pieces(
    body: &mut Body,
    sink: &mut Sink,
    mut seen: impl FnMut(&[u8]),
) -> Result<(), PumpError> {
    loop {
        if let (Body::H1(from), Sink::H1 { wire, chunked }) = (&mut *body, &mut *sink) {
            match from.step().map_err(PumpError::Source)? {
                Step::Piece(count) => {
                    seen(&from.wire.input.borrow()[..count]);
                    hand_over(&from.wire, wire, *chunked, count).await.map_err(PumpError::Sink)?;
                    from.taken(count);
                }
                Step::End => return Ok(()),
                Step::More => {
                    sink.flush().await.map_err(PumpError::Sink)?;
                    from.more().await.map_err(PumpError::Source)?;
                }
            }
            continue;
        }
        let piece = match body.next().now_or_never() {
            Some(piece) => piece,
            None => {
                sink.flush().await.map_err(PumpError::Sink)?;
                tokio::select! {
                    biased;
                    piece = body.next() => piece,
                    () = sink.reset() => return Err(PumpError::Sink(BodyError::Truncated)),
                }
            }
        };
        let Some(piece) = piece.map_err(PumpError::Source)? else { return Ok(()) };
        seen(&piece);
        sink.data(piece).await.map_err(PumpError::Sink)?;
    }
}

/// Passes `count` buffered bytes on: small pieces gather in the output buffer, large ones leave from where they are.
async fn hand_over(from: &Wire, to: &Wire, chunked: bool, count: usize) -> Result<(), BodyError> {
    let small = count <= COPY_LIMIT;
    {
        let mut output = to.output();
        if chunked {
            chunk_head(&mut output, count);
        }
        if small {
            let mut input = from.input.borrow_mut();
            output.extend_from_slice(&input[..count]);
            input.advance(count);
        }
    }
    if !small {
        to.flush().await?;
        to.pass(from, count).await?;
    }
    if chunked {
        to.output().extend_from_slice(b"\r\n");
    }
    if to.output.borrow().len() >= FLUSH_AT {
        to.flush().await?;
    }
    Ok(())
}

/// Which side failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    #[error("reading the body failed")]
    Source(#[source] BodyError),
    #[error("writing the body failed")]
    Sink(#[source] BodyError),
}
