//! A gzip stream (RFC 1952) around deflate, piece by piece.

use std::io;

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};

/// Negative: deflate without zlib's header.
const RAW: i32 = -15;
/// No name, no time, made on Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// Room that the output grows by.
const ROOM: usize = 4096;
const CHECKSUMS: [u32; 256] = checksums();

/// How hard to compress, and for which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GzipSettings {
    /// 1 (fastest) to 9 (smallest).
    pub level: u8,
    /// zlib's strategy: 0 default, 1 filtered, 2 Huffman only, 3 run lengths, 4 fixed codes.
    pub strategy: u8,
}

impl Default for GzipSettings {
    /// zlib's usual compromise: level 6, default strategy.
    fn default() -> Self {
        Self { level: 6, strategy: 0 }
    }
}

/// Compresses a stream. It holds a window of 32 KiB and what deflate needs, however long the stream is.
pub struct Gzip {
    compressor: Box<CompressorOxide>,
    started: bool,
    checksum: u32,
    /// Modulo 2^32, as the format has it.
    length: u32,
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Gzip {
    /// A stream that nothing was written to.
    pub fn new(settings: GzipSettings) -> Self {
        let flags =
            create_comp_flags_from_zip_params(i32::from(settings.level), RAW, i32::from(settings.strategy));
        let compressor = Box::new(CompressorOxide::new(flags));
        Self { compressor, started: false, checksum: u32::MAX, length: 0 }
    }

    /// Compresses a piece; some of it may stay inside for later.
    pub fn write(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.start(out);
        for byte in piece {
            let index = (self.checksum ^ u32::from(*byte)) & 0xff;
            self.checksum = CHECKSUMS[index as usize] ^ (self.checksum >> 8);
        }
        self.length = self.length.wrapping_add(piece.len() as u32);
        while !piece.is_empty() {
            self.pass(&mut piece, MZFlush::None, out)?;
        }
        Ok(())
    }

    /// Writes out what stayed inside, so that a reader of `out` has everything.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.pass(&mut &[][..], MZFlush::Sync, out)? == Room::Full {}
        Ok(())
    }

    /// Ends the stream.
    pub fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.start(out);
        while self.pass(&mut &[][..], MZFlush::Finish, out)? != Room::Ended {}
        out.extend_from_slice(&(!self.checksum).to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            out.extend_from_slice(&HEADER);
        }
    }

    /// One call of deflate into fresh room.
    fn pass(&mut self, input: &mut &[u8], flush: MZFlush, out: &mut Vec<u8>) -> io::Result<Room> {
        let start = out.len();
        out.resize(start + ROOM, 0);
        let done = deflate(&mut self.compressor, input, &mut out[start..], flush);
        out.truncate(start + done.bytes_written);
        *input = &input[done.bytes_consumed..];
        match done.status {
            Ok(MZStatus::StreamEnd) => Ok(Room::Ended),
            Ok(_) if done.bytes_written == ROOM => Ok(Room::Full),
            Ok(_) => Ok(Room::Left),
            Err(error) => Err(io::Error::other(format!("deflate: {error:?}"))),
        }
    }
}

/// What a call of deflate left.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Full,
    Left,
    Ended,
}

/// The table of CRC-32 as gzip has it.
const fn checksums() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

    use super::*;

    /// What a reader gets from the deflate stream so far.
    fn inflated(packed: &[u8], most: usize) -> Vec<u8> {
        let mut out = vec![0; most];
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let (_, _, written) = decompress(&mut DecompressorOxide::new(), packed, &mut out, 0, flags);
        out.truncate(written);
        out
    }

    #[test]
    fn the_end_of_a_stream_is_the_one_of_rfc_1952() {
        let mut gzip = Gzip::new(GzipSettings::default());
        let mut out = Vec::new();
        gzip.write(b"123456789", &mut out).expect("compressed");
        gzip.finish(&mut out).expect("ended");
        assert_eq!(out[..10], HEADER);
        assert_eq!(out[out.len() - 8..out.len() - 4], 0xcbf4_3926_u32.to_le_bytes());
        assert_eq!(out[out.len() - 4..], 9_u32.to_le_bytes());
    }

    #[test]
    fn what_went_in_comes_out_and_each_piece_when_it_should() {
        let text: Vec<u8> = (0..60_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
        for settings in [
            GzipSettings::default(),
            GzipSettings { level: 1, strategy: 4 },
            GzipSettings { level: 9, strategy: 2 },
        ] {
            let (mut gzip, mut out, mut so_far) = (Gzip::new(settings), Vec::new(), 0);
            for piece in text.chunks(20_011) {
                gzip.write(piece, &mut out).expect("compressed");
                gzip.flush(&mut out).expect("flushed");
                so_far += piece.len();
                assert_eq!(inflated(&out[10..], text.len()).len(), so_far, "{settings:?}");
            }
            gzip.finish(&mut out).expect("ended");
            assert!(out.len() < text.len() * 3 / 4, "{settings:?}: {}", out.len());
            assert!(inflated(&out[10..out.len() - 8], text.len()) == text, "{settings:?}");
        }
    }
}
