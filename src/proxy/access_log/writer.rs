//! Where log lines go: one writer for each file of the process, fed without blocking the request.
//!
//! Lines gather in one buffer; the writer takes them over a few times a second, so that a busy proxy neither wakes a
//! thread nor makes a system call for each of them.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may wait for a slow file; more are dropped rather than stall traffic.
const QUEUE: usize = 4 << 20;
/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// A buffer larger than this is given back once it is written.
const KEPT: usize = 256 * 1024;

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    lines: Arc<Lines>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Lines {
    buffer: Mutex<Vec<u8>>,
    filled: Condvar,
}

static FILES: LazyLock<Mutex<HashMap<String, Arc<LogFile>>>> = LazyLock::new(Mutex::default);

impl LogFile {
    /// Opens a path, once for the process.
    pub(crate) fn open(path: &str) -> std::io::Result<Arc<Self>> {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = files.get(path) {
            return Ok(open.clone());
        }
        let sink: Box<dyn Write + Send> = match path {
            "/dev/stdout" => Box::new(std::io::stdout()),
            "/dev/stderr" => Box::new(std::io::stderr()),
            _ => Box::new(std::fs::OpenOptions::new().create(true).append(true).open(path)?),
        };
        let lines = Arc::<Lines>::default();
        let waiting = lines.clone();
        let thread = std::thread::Builder::new().name("access-log".into()).stack_size(128 * 1024);
        thread.spawn(move || waiting.write_out(sink))?;
        let file = Arc::new(Self { lines });
        files.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    /// Hands over a line; dropped when too much is waiting.
    pub(crate) fn write(&self, line: &[u8]) {
        let mut buffer = self.lines.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() + line.len() > QUEUE {
            return;
        }
        let first = buffer.is_empty();
        buffer.extend_from_slice(line);
        drop(buffer);
        if first {
            self.lines.filled.notify_one();
        }
    }
}

impl Lines {
    fn write_out(&self, mut sink: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        loop {
            let empty = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.filled.wait_while(empty, |buffer| buffer.is_empty()));
            std::thread::sleep(GATHER);
            std::mem::swap(&mut batch, &mut *self.buffer.lock().unwrap_or_else(PoisonError::into_inner));
            // A full or broken log must not stop traffic.
            let _ = sink.write_all(&batch).and_then(|()| sink.flush());
            batch.clear();
            batch.shrink_to(KEPT);
        }
    }
}
