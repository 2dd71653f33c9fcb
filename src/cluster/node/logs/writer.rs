//! Writes what a container prints.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::sync::{broadcast, watch};

use crate::pod_runtime::ByteReader;

/// A log of this size is moved to `NAME.log.1`, replacing an older one.
const ROTATE_BYTES: u64 = 10 << 20;
/// Longer lines are written in parts (`P`), as container runtimes do.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Chunks an attached client may lag behind before it loses some.
const ATTACH_QUEUE: usize = 256;

/// One of a container's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

impl OutputStream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How far a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Lines written so far.
    pub(super) lines: u64,
    /// Times the file was rotated.
    pub(super) rotations: u64,
    /// No more lines will come.
    pub(super) ended: bool,
}

struct Output {
    file: File,
    bytes: u64,
}

/// The log of one run of a container.
pub(crate) struct ContainerLog {
    path: PathBuf,
    run: u32,
    output: Mutex<Output>,
    progress: watch::Sender<Progress>,
    live: broadcast::Sender<(OutputStream, Bytes)>,
}

impl ContainerLog {
    /// Starts `NUMBER.log` in the container's folder. Only this run's and the previous run's logs are kept.
    pub(crate) fn create(folder: &Path, run: u32) -> io::Result<Arc<Self>> {
        fs::create_dir_all(folder)?;
        if let Some(old) = run.checked_sub(2) {
            let _ = fs::remove_file(file_name(folder, old));
            let _ = fs::remove_file(rotated(&file_name(folder, old)));
        }
        let path = file_name(folder, run);
        let output =
            Output { file: open(&path)?, bytes: path.metadata().map_or(0, |metadata| metadata.len()) };
        let (progress, live) =
            (watch::Sender::new(Progress::default()), broadcast::Sender::new(ATTACH_QUEUE));
        Ok(Arc::new(Self { path, run, output: Mutex::new(output), progress, live }))
    }

    /// The file being written.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which run of the container this is, counted from 0.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What is printed from now on.
    pub(crate) fn attach(&self) -> broadcast::Receiver<(OutputStream, Bytes)> {
        self.live.subscribe()
    }

    /// Writes both outputs until they are closed, which happens when the last process that has them ends.
    pub(crate) async fn record(self: Arc<Self>, stdout: Option<ByteReader>, stderr: Option<ByteReader>) {
        tokio::join!(
            self.record_one(stdout, OutputStream::Stdout),
            self.record_one(stderr, OutputStream::Stderr)
        );
        self.progress.send_modify(|progress| progress.ended = true);
    }

    async fn record_one(&self, pipe: Option<ByteReader>, stream: OutputStream) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; MAX_LINE_BYTES];
        let mut line: Vec<u8> = Vec::new();
        while let Ok(length) = pipe.read(&mut buffer).await {
            if length == 0 {
                break;
            }
            // Nobody listening is the normal case.
            let _ = self.live.send((stream, Bytes::copy_from_slice(&buffer[..length])));
            for part in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    line.pop();
                    self.write_line(stream, 'F', &line);
                    line.clear();
                } else if line.len() >= MAX_LINE_BYTES {
                    self.write_line(stream, 'P', &line);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.write_line(stream, 'F', &line);
        }
    }

    fn write_line(&self, stream: OutputStream, tag: char, line: &[u8]) {
        let mut text = format!("{:.9} {} {tag} ", Timestamp::now(), stream.name()).into_bytes();
        text.extend_from_slice(line);
        text.push(b'\n');
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rotated = false;
        if output.bytes >= ROTATE_BYTES {
            rotated = self.rotate(&mut output).is_ok();
        }
        if let Err(error) = output.file.write_all(&text) {
            tracing::warn!(path = %self.path.display(), %error, "cannot write a container's log");
            return;
        }
        output.bytes += text.len() as u64;
        drop(output);
        self.progress.send_modify(|progress| {
            progress.lines += 1;
            progress.rotations += u64::from(rotated);
        });
    }

    fn rotate(&self, output: &mut Output) -> io::Result<()> {
        fs::rename(&self.path, rotated(&self.path))?;
        *output = Output { file: open(&self.path)?, bytes: 0 };
        Ok(())
    }
}

/// The log of a container's run.
pub(super) fn file_name(folder: &Path, run: u32) -> PathBuf {
    folder.join(format!("{run}.log"))
}

/// Where the older part of a log is.
pub(super) fn rotated(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
