//! Bodies: reading them from either protocol, writing them to either protocol, streaming with backpressure.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use futures::FutureExt;

use super::headers::HeaderList;
use super::wire::{FLUSH_AT, Wire};

/// Longest line of a chunked body (size with extensions, one trailer).
const LINE_LIMIT: usize = 8 * 1024;

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
        }
    }

    /// The next piece; `None` = the end. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Empty => Ok(None),
            Self::Full(bytes) => Ok((!bytes.is_empty()).then(|| std::mem::take(bytes))),
            Self::H1(body) => body.next().await,
            Self::Ended(_) => Ok(None),
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

    /// The trailers, once the body has ended.
    pub(crate) fn trailers(&mut self) -> Option<HeaderList> {
        match self {
            Self::H1(body) => body.trailers.take(),
            Self::Ended(trailers) => trailers.take(),
            _ => None,
        }
    }
}

impl H1Body {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.framing {
                Framing::Length(0) => return Ok(None),
                Framing::Length(left) => {
                    if let Some(piece) = self.take(left) {
                        self.framing = Framing::Length(left - piece.len() as u64);
                        return Ok(Some(piece));
                    }
                }
                Framing::UntilClose => {
                    if let Some(piece) = self.take(u64::MAX) {
                        return Ok(Some(piece));
                    }
                    if self.wire.fill().await? == 0 {
                        self.framing = Framing::Length(0);
                        return Ok(None);
                    }
                    continue;
                }
                Framing::Chunked => match self.next_chunk()? {
                    Step::Piece(piece) => return Ok(Some(piece)),
                    Step::End => return Ok(None),
                    Step::More => {}
                },
            }
            if self.wire.fill().await? == 0 {
                return Err(BodyError::Truncated);
            }
        }
    }

    fn take(&self, limit: u64) -> Option<Bytes> {
        let mut input = self.wire.input.borrow_mut();
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(input.len());
        (count > 0).then(|| input.split_to(count).freeze())
    }

    fn next_chunk(&mut self) -> Result<Step, BodyError> {
        loop {
            match self.chunk {
                Chunk::Done => return Ok(Step::End),
                Chunk::Data(left) => {
                    let Some(piece) = self.take(left) else { return Ok(Step::More) };
                    let left = left - piece.len() as u64;
                    self.chunk = if left == 0 { Chunk::End } else { Chunk::Data(left) };
                    return Ok(Step::Piece(piece));
                }
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
                    let Some(line) = self.line()? else { return Ok(Step::More) };
                    let size = chunk_size(&line)?;
                    self.chunk = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
                }
                Chunk::Trailers => {
                    let Some(line) = self.line()? else { return Ok(Step::More) };
                    if line.is_empty() {
                        self.chunk = Chunk::Done;
                    } else {
                        self.add_trailer(&line)?;
                    }
                }
            }
        }
    }

    /// A line without its CR LF. A bare LF or CR is an error.
    fn line(&self) -> Result<Option<Bytes>, BodyError> {
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
        let line = input.split_to(end + 1).freeze();
        Ok(Some(line.slice(..end - 1)))
    }

    fn add_trailer(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let colon = memchr::memchr(b':', line).ok_or(BodyError::Framing)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let forbidden: [&[u8]; 5] =
            [b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection"];
        if name.is_empty()
            || !name.iter().all(|b| super::codec::is_token(*b))
            || forbidden.iter().any(|f| name.eq_ignore_ascii_case(f))
        {
            return Err(BodyError::Framing);
        }
        let list = self.trailers.get_or_insert_default();
        if list.len() >= 100 {
            return Err(BodyError::Framing);
        }
        list.append(name, value);
        Ok(())
    }
}

enum Step {
    Piece(Bytes),
    End,
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
                    let mut output = wire.output.borrow_mut();
                    if *chunked {
                        use std::fmt::Write;
                        // Writing into a growing buffer cannot fail.
                        let _ = write!(output, "{:x}\r\n", piece.len());
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

    /// Ends the body.
    pub(crate) async fn finish(&mut self, trailers: Option<HeaderList>) -> Result<(), BodyError> {
        match std::mem::replace(self, Self::Closed) {
            Self::Closed => Ok(()),
            Self::H1 { wire, chunked } => {
                if chunked {
                    let mut output = wire.output.borrow_mut();
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

/// Moves a whole body. Small pieces that are already here leave in one write with the head. `copy` sees every piece.
pub(crate) async fn pump(
    body: &mut Body,
    sink: &mut Sink,
    mut copy: impl FnMut(&Bytes),
) -> Result<u64, PumpError> {
    let mut total = 0;
    loop {
        let piece = match body.next().now_or_never() {
            Some(piece) => piece,
            None => {
                sink.flush().await.map_err(PumpError::Sink)?;
                body.next().await
            }
        };
        let Some(piece) = piece.map_err(PumpError::Source)? else { break };
        total += piece.len() as u64;
        copy(&piece);
        sink.data(piece).await.map_err(PumpError::Sink)?;
    }
    sink.finish(body.trailers()).await.map_err(PumpError::Sink)?;
    Ok(total)
}

/// Which side failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    #[error("reading the body failed")]
    Source(#[source] BodyError),
    #[error("writing the body failed")]
    Sink(#[source] BodyError),
}
