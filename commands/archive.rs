//! A tar archive (POSIX ustar, with a pax header for long names) of plain files.

use std::io::{self, Read, Write};
use std::time::SystemTime;

/// Size of a block.
const BLOCK: usize = 512;
/// Longest name of the plain header.
const NAME: usize = 100;

/// Writes files one after the other; `finish` ends the archive.
pub(crate) struct TarWriter<W> {
    inner: W,
    modified: u64,
}

impl<W: Write> TarWriter<W> {
    /// All files get this time.
    pub(crate) fn new(inner: W, modified: SystemTime) -> Self {
        let modified = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { inner, modified }
    }

    /// A file of exactly `size` bytes.
    pub(crate) fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        if name.len() > NAME {
            let record = pax_record("path", name);
            self.header("pax", record.len() as u64, b'x')?;
            self.inner.write_all(record.as_bytes())?;
            self.pad(record.len() as u64)?;
        }
        self.header(name, size, b'0')?;
        let copied = io::copy(&mut content.take(size), &mut self.inner)?;
        // A file that became shorter meanwhile must not shift what follows.
        io::copy(&mut io::repeat(0).take(size - copied), &mut self.inner)?;
        self.pad(size)
    }

    /// Two empty blocks end an archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    fn header(&mut self, name: &str, size: u64, kind: u8) -> io::Result<()> {
        let mut block = [0u8; BLOCK];
        let shown = name.as_bytes().get(..name.len().min(NAME)).unwrap_or_default();
        block[..shown.len()].copy_from_slice(shown);
        let mut field = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        field(100, "0000644\0");
        field(108, "0000000\0");
        field(116, "0000000\0");
        field(124, &format!("{size:011o}\0"));
        field(136, &format!("{:011o}\0", self.modified));
        field(148, "        ");
        field(257, "ustar\x0000");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.inner.write_all(&block)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over > 0 { self.inner.write_all(&[0; BLOCK][over..]) } else { Ok(()) }
    }
}

/// `LENGTH key=value\n`, the length counting itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while format!("{length}{rest}").len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_themselves() {
        for value in ["", &"x".repeat(86), &"x".repeat(87), &"x".repeat(90), &"x".repeat(991)] {
            let record = pax_record("path", value);
            assert!(record.starts_with(&format!("{} path=", record.len())), "{record}");
        }
    }
}
