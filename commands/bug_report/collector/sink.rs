//! A file that keeps within a limit.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// What is beyond the limits is dropped.
pub(super) struct Sink<'c> {
    path: PathBuf,
    file: BufWriter<File>,
    own: u64,
    shared: &'c Cell<u64>,
    cut: bool,
}

impl<'c> Sink<'c> {
    /// `limit` bytes of its own, as long as there is something of `shared`.
    pub(super) fn create(path: PathBuf, limit: u64, shared: &'c Cell<u64>) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(&path)?);
        Ok(Self { path, file, own: limit, shared, cut: false })
    }

    /// Writes as much as may be.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.own.min(self.shared.get())).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(room)];
        self.cut |= kept.len() < bytes.len();
        self.file.write_all(kept)?;
        self.own -= kept.len() as u64;
        self.shared.set(self.shared.get() - kept.len() as u64);
        Ok(())
    }

    /// Whether nothing more will be kept.
    pub(super) fn is_full(&self) -> bool {
        self.cut
    }

    /// Where the file is, and whether something was dropped.
    pub(super) fn close(mut self) -> io::Result<(PathBuf, bool)> {
        self.file.flush()?;
        Ok((self.path, self.cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold() {
        let folder = tempfile::tempdir().expect("a folder");
        let shared = Cell::new(10);
        let write = |name: &str, bytes: &[u8]| {
            let mut sink = Sink::create(folder.path().join(name), 6, &shared).expect("a file");
            sink.take(bytes).expect("written");
            let (path, cut) = sink.close().expect("closed");
            (std::fs::read(path).expect("content"), cut)
        };
        assert_eq!(write("a", b"abc"), (b"abc".to_vec(), false));
        assert_eq!(write("b", b"abcdefgh"), (b"abcdef".to_vec(), true));
        assert_eq!(write("c", b"abc"), (b"a".to_vec(), true));
    }
}
