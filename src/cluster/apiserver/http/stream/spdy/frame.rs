//! Frames: what is read from the client, and the bytes of what is sent to it (SPDY/3 draft, section 2.6).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::ProtocolError;

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const FLAG_FIN: u8 = 1;
const CONTROL_BIT: u16 = 0x8000;
const STREAM_MASK: u32 = 0x7fff_ffff;
const HEAD_BYTES: usize = 8;
/// Most bytes of a data frame.
const DATA_LIMIT: usize = 1 << 20;
/// Most bytes of any other frame.
const CONTROL_LIMIT: usize = 64 << 10;

/// Why a stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetStatus {
    ProtocolError = 1,
    InvalidStream = 2,
    RefusedStream = 3,
    Cancel = 5,
}

/// A frame of the client. Kinds without meaning here (SETTINGS, WINDOW_UPDATE, …) are `Other`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream { stream: u32, finished: bool, header_block: Bytes },
    Headers { stream: u32, finished: bool, header_block: Bytes },
    Data { stream: u32, finished: bool, data: Bytes },
    Reset { stream: u32 },
    Ping(u32),
    Other,
}

/// Takes the next frame off the buffer; `None` until all of it is there.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
    let Some(head) = buffer.get(..HEAD_BYTES) else { return Ok(None) };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let first = u16::from_be_bytes([head[0], head[1]]);
    let (flags, length) = (head[4], (word(4) & 0x00ff_ffff) as usize);
    let control = first & CONTROL_BIT != 0;
    let limit = if control { CONTROL_LIMIT } else { DATA_LIMIT };
    if length > limit {
        return Err(ProtocolError::FrameTooLong { length, limit });
    }
    if control && first & !CONTROL_BIT != VERSION {
        return Err(ProtocolError::Version(first & !CONTROL_BIT));
    }
    let (stream, kind) = (word(0) & STREAM_MASK, u16::from_be_bytes([head[2], head[3]]));
    if buffer.len() < HEAD_BYTES + length {
        buffer.reserve(HEAD_BYTES + length - buffer.len());
        return Ok(None);
    }
    let mut payload = buffer.split_to(HEAD_BYTES + length).freeze().split_off(HEAD_BYTES);
    let finished = flags & FLAG_FIN != 0;
    if !control {
        return Ok(Some(Frame::Data { stream, finished, data: payload }));
    }
    let needed = match kind {
        SYN_STREAM => 10,
        RST_STREAM => 8,
        HEADERS | PING => 4,
        _ => 0,
    };
    if payload.len() < needed {
        return Err(ProtocolError::FrameTooShort(kind));
    }
    Ok(Some(match kind {
        SYN_STREAM => {
            let stream = payload.get_u32() & STREAM_MASK;
            // The associated stream, priority and credential slot mean nothing here.
            payload.advance(6);
            Frame::SynStream { stream, finished, header_block: payload }
        }
        HEADERS => {
            Frame::Headers { stream: payload.get_u32() & STREAM_MASK, finished, header_block: payload }
        }
        RST_STREAM => Frame::Reset { stream: payload.get_u32() & STREAM_MASK },
        PING => Frame::Ping(payload.get_u32()),
        _ => Frame::Other,
    }))
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + payload.len());
    frame.put_u16(CONTROL_BIT | VERSION);
    frame.put_u16(kind);
    frame.put_u32(u32::try_from(payload.len()).unwrap_or(0) & 0x00ff_ffff);
    frame.put_slice(payload);
    frame.freeze()
}

fn control_words(kind: u16, words: [u32; 2]) -> Bytes {
    let [first, second] = words.map(u32::to_be_bytes);
    control(kind, &[first, second].concat())
}

/// Says that a stream is accepted.
pub(super) fn syn_reply(stream: u32, header_block: &[u8]) -> Bytes {
    control(SYN_REPLY, &[&stream.to_be_bytes(), header_block].concat())
}

/// Data of a stream, at most 16 MiB; `finished` half-closes it.
pub(super) fn data(stream: u32, finished: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
    frame.put_u32(stream & STREAM_MASK);
    let flags = if finished { u32::from(FLAG_FIN) << 24 } else { 0 };
    frame.put_u32(flags | (u32::try_from(bytes.len()).unwrap_or(0) & 0x00ff_ffff));
    frame.put_slice(bytes);
    frame.freeze()
}

/// Ends a stream at once.
pub(super) fn reset(stream: u32, status: ResetStatus) -> Bytes {
    control_words(RST_STREAM, [stream, status as u32])
}

/// Answers a ping.
pub(super) fn ping(id: u32) -> Bytes {
    control(PING, &id.to_be_bytes())
}

/// Says that the connection ends because of a protocol error.
pub(super) fn go_away(last_stream: u32) -> Bytes {
    control_words(GOAWAY, [last_stream, 1])
}
