//! A gzip stream (RFC 1952) around deflate.

use std::io::{self, Write};

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};

/// Compression level: the usual compromise.
const LEVEL: i32 = 6;
/// Negative: deflate without zlib's header.
const RAW: i32 = -15;

/// Compresses what is written to it. `finish` ends the stream.
pub(super) struct GzipWriter<W> {
    inner: W,
    compressor: Box<CompressorOxide>,
    buffer: Vec<u8>,
    checksum: Checksum,
    length: u32,
}

impl<W: Write> GzipWriter<W> {
    /// Writes the header.
    pub(super) fn new(mut inner: W) -> io::Result<Self> {
        // No name, no time, made on Unix.
        inner.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])?;
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, 0);
        let compressor = Box::new(CompressorOxide::new(flags));
        Ok(Self { inner, compressor, buffer: vec![0; 64 * 1024], checksum: Checksum::new(), length: 0 })
    }

    /// Ends the stream and gives the writer below back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.push(&[], MZFlush::Finish)?;
        self.inner.write_all(&self.checksum.value().to_le_bytes())?;
        self.inner.write_all(&self.length.to_le_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn push(&mut self, mut input: &[u8], flush: MZFlush) -> io::Result<()> {
        loop {
            let result = deflate(&mut self.compressor, input, &mut self.buffer, flush);
            input = &input[result.bytes_consumed..];
            self.inner.write_all(&self.buffer[..result.bytes_written])?;
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(()),
                Ok(_) if input.is_empty() && flush == MZFlush::None => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(io::Error::other(format!("deflate: {error:?}"))),
            }
        }
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.push(bytes, MZFlush::None)?;
            self.checksum.add(bytes);
            // RFC 1952: the length modulo 2^32.
            self.length = self.length.wrapping_add(bytes.len() as u32);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// CRC-32 as gzip has it.
struct Checksum {
    table: [u32; 256],
    state: u32,
}

impl Checksum {
    fn new() -> Self {
        let mut table = [0u32; 256];
        for (entry, index) in table.iter_mut().zip(0u32..) {
            *entry = (0..8).fold(
                index,
                |value, _| {
                    if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 }
                },
            );
        }
        Self { table, state: u32::MAX }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = (self.state ^ u32::from(*byte)) & 0xff;
            self.state = self.table[index as usize] ^ (self.state >> 8);
        }
    }

    fn value(&self) -> u32 {
        !self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_rfc_1952() {
        let mut checksum = Checksum::new();
        checksum.add(b"123456789");
        assert_eq!(checksum.value(), 0xcbf4_3926);
    }

    #[test]
    fn what_went_in_comes_out() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let mut writer = GzipWriter::new(Vec::new()).expect("a header");
        for piece in text.chunks(7001) {
            writer.write_all(piece).expect("compressed");
        }
        let packed = writer.finish().expect("an end");
        assert!(packed.len() < text.len() / 2);
        let body = &packed[10..packed.len() - 8];
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(body).expect("deflate"), text);
        let length = u32::from_le_bytes(packed[packed.len() - 4..].try_into().expect("four bytes"));
        assert_eq!(length as usize, text.len());
    }
}
