//! Header blocks: names and values, compressed by zlib with a dictionary of its own, one zlib stream for the whole connection
//! (SPDY/3 draft, section 2.6.10).

use std::sync::OnceLock;

use bytes::{Buf, BufMut};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::ProtocolError;

/// Names and values that the dictionary holds one by one, each after its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age \
    allow authorization cache-control connection content-base content-encoding content-language content-length \
    content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since \
    if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate \
    proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning \
    www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
/// What the dictionary ends with.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not \
    Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec \
    00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
    application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,\
    utf-,*,enq=0.";
/// Adler-32 of the dictionary: how a zlib stream names it.
const DICTIONARY_ID: [u8; 4] = [0xe3, 0xc6, 0xa7, 0xc2];
/// zlib: deflate with a 32 KiB window and a preset dictionary.
const ZLIB_HEAD: [u8; 2] = [0x78, 0xbb];
const FLAG_DICTIONARY: u8 = 0x20;
const WINDOW_BYTES: usize = 32 << 10;
/// Most bytes of one block, uncompressed.
const BLOCK_LIMIT: usize = 64 << 10;

/// Names and values in the order sent.
pub(super) type Headers = Vec<(String, String)>;

pub(super) fn dictionary() -> &'static [u8] {
    static DICTIONARY: OnceLock<Vec<u8>> = OnceLock::new();
    DICTIONARY.get_or_init(|| {
        let mut bytes = Vec::new();
        for word in WORDS.split_ascii_whitespace() {
            bytes.put_u32(u32::try_from(word.len()).unwrap_or(0));
            bytes.put_slice(word.replace('_', " ").as_bytes());
        }
        bytes.put_slice(TAIL.as_bytes());
        bytes
    })
}

/// Reads the client's header blocks, in the order they came.
pub(super) struct Decoder {
    inflate: Box<DecompressorOxide>,
    window: Vec<u8>,
    position: usize,
    begun: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { inflate: Box::default(), window: vec![0; WINDOW_BYTES], position: 0, begun: false }
    }

    /// The headers of the next block.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Headers, ProtocolError> {
        let compressed = if self.begun { block } else { self.begin(block)? };
        parse(&self.inflated(compressed)?)
    }

    /// Reads zlib's head and lays the dictionary out as if it had just been read.
    fn begin<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        let [method, flags, rest @ ..] = block else { return Err(ProtocolError::Compression) };
        let check = u16::from_be_bytes([*method, *flags]) % 31;
        let rest = rest.strip_prefix(&DICTIONARY_ID).ok_or(ProtocolError::Compression)?;
        if method & 0x0f != 8 || check != 0 || flags & FLAG_DICTIONARY == 0 {
            return Err(ProtocolError::Compression);
        }
        let dictionary = dictionary();
        self.window[..dictionary.len()].copy_from_slice(dictionary);
        self.position = dictionary.len();
        self.begun = true;
        Ok(rest)
    }

    fn inflated(&mut self, mut compressed: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut found = Vec::new();
        loop {
            let (status, read, written) = decompress(
                &mut self.inflate,
                compressed,
                &mut self.window,
                self.position,
                TINFL_FLAG_HAS_MORE_INPUT,
            );
            found.extend_from_slice(&self.window[self.position..self.position + written]);
            self.position = (self.position + written) % WINDOW_BYTES;
            compressed = &compressed[read..];
            if found.len() > BLOCK_LIMIT {
                return Err(ProtocolError::HeadersTooLong(BLOCK_LIMIT));
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok(found),
                _ => return Err(ProtocolError::Compression),
            }
        }
    }
}

fn parse(mut block: &[u8]) -> Result<Headers, ProtocolError> {
    let mut headers = Headers::new();
    for _ in 0..number(&mut block)? {
        headers.push((text(&mut block)?, text(&mut block)?));
    }
    Ok(headers)
}

fn number(block: &mut &[u8]) -> Result<usize, ProtocolError> {
    block.try_get_u32().map(|number| number as usize).map_err(|_| ProtocolError::Headers)
}

fn text(block: &mut &[u8]) -> Result<String, ProtocolError> {
    let length = number(block)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(ProtocolError::Headers)?;
    *block = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtocolError::Headers)
}

/// Writes our header blocks, which are all empty; nothing is gained by compressing them.
#[derive(Default)]
pub(super) struct Encoder {
    begun: bool,
}

impl Encoder {
    /// A block without headers: a stored deflate block with the count 0, and an empty one, which tells readers to pass on what
    /// they have.
    pub(super) fn empty_block(&mut self) -> Vec<u8> {
        let mut block = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            block.put_slice(&ZLIB_HEAD);
            block.put_slice(&DICTIONARY_ID);
        }
        block.put_slice(&[0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]);
        block.put_slice(&[0, 0, 0, 0xff, 0xff]);
        block
    }
}
