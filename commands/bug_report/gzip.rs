//! A gzip stream as a writer.

use std::io::{self, Write};

use sagene_proxy::gzip::{Gzip, GzipSettings};

/// Bytes that gather before they are written.
const GATHERED: usize = 64 * 1024;

/// Compresses what is written to it. `finish` ends the stream.
pub(super) struct GzipWriter<W> {
    inner: W,
    gzip: Gzip,
    packed: Vec<u8>,
}

impl<W: Write> GzipWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, gzip: Gzip::new(GzipSettings::default()), packed: Vec::new() }
    }

    /// Ends the stream and gives the writer below back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.gzip.finish(&mut self.packed)?;
        self.inner.write_all(&self.packed)?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gzip.write(bytes, &mut self.packed)?;
        if self.packed.len() >= GATHERED {
            self.inner.write_all(&self.packed)?;
            self.packed.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.packed)?;
        self.packed.clear();
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let mut writer = GzipWriter::new(Vec::new());
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
