//! Where log lines go: one writer for each file of the process, fed without blocking the request.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

/// Lines that may wait for a slow file; more are dropped rather than stall traffic.
const QUEUE: usize = 8 * 1024;

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    lines: mpsc::SyncSender<Vec<u8>>,
}

static FILES: LazyLock<Mutex<HashMap<String, Arc<LogFile>>>> = LazyLock::new(Mutex::default);

impl LogFile {
    /// Opens a path, once for the process.
    pub(crate) fn open(path: &str) -> std::io::Result<Arc<Self>> {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = files.get(path) {
            return Ok(open.clone());
        }
        let mut sink: Box<dyn Write + Send> = match path {
            "/dev/stdout" => Box::new(std::io::stdout()),
            "/dev/stderr" => Box::new(std::io::stderr()),
            _ => Box::new(std::fs::OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (lines, queue) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
        std::thread::Builder::new().name("access-log".into()).stack_size(128 * 1024).spawn(move || {
            while let Ok(mut batch) = queue.recv() {
                while let Ok(more) = queue.try_recv() {
                    batch.extend_from_slice(&more);
                    if batch.len() > 64 * 1024 {
                        break;
                    }
                }
                // A full or broken log must not stop traffic.
                let _ = sink.write_all(&batch).and_then(|()| sink.flush());
            }
        })?;
        let file = Arc::new(Self { lines });
        files.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    /// Hands over a line; dropped when the queue is full.
    pub(crate) fn write(&self, line: Vec<u8>) {
        let _ = self.lines.try_send(line);
    }
}
