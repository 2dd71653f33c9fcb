//! Reads a log for `kubectl logs`: from its end, from a time, and on as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::writer::{ContainerLog, file_name, rotated};
use crate::pod_runtime::{LogOptions, LogStream};

/// Chunks a slow client may have waiting.
const QUEUE: usize = 64;
/// A chunk is sent when it has grown to this.
const CHUNK_BYTES: usize = 32 << 10;

/// Opens the log of a container's run. `live` is the log while the run lasts; without it nothing is followed.
pub(crate) fn read(
    folder: &Path,
    run: u32,
    live: Option<Arc<ContainerLog>>,
    options: LogOptions,
) -> io::Result<LogStream> {
    let path = file_name(folder, run);
    if !path.exists() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the log is gone"));
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    sagene_base::task::spawn("log-reader", async move {
        let mut reader =
            Reader { sender, remaining: options.limit_bytes.unwrap_or(u64::MAX), chunk: Vec::new(), options };
        // Ends early when the client goes away.
        let _ = reader.run(path, live).await;
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

struct Reader {
    sender: mpsc::Sender<io::Result<Bytes>>,
    remaining: u64,
    chunk: Vec<u8>,
    options: LogOptions,
}

/// The client is gone or has all it asked for.
struct Finished;

impl Reader {
    async fn run(&mut self, path: PathBuf, live: Option<Arc<ContainerLog>>) -> Result<(), Finished> {
        let mut progress = live.filter(|_| self.options.follow).map(|log| log.progress());
        let seen = progress.as_mut().map(|progress| *progress.borrow_and_update());
        let mut file = self.existing(&path).await?;
        let (Some(mut progress), Some(mut seen)) = (progress, seen) else { return self.flush().await };
        loop {
            self.lines(&mut file).await?;
            self.flush().await?;
            if seen.ended {
                return Ok(());
            }
            if progress.changed().await.is_err() {
                return Ok(());
            }
            let now = *progress.borrow_and_update();
            if now.rotations != seen.rotations {
                // What is left of the old file comes first.
                self.lines(&mut file).await?;
                file = self.open(&path).await?;
            }
            seen = now;
        }
    }

    /// Sends what is there, and returns the file behind it.
    async fn existing(&mut self, path: &Path) -> Result<BufReader<File>, Finished> {
        let Some(tail) = self.options.tail_lines else {
            if let Ok(older) = File::open(rotated(path)) {
                self.lines(&mut BufReader::new(older)).await?;
            }
            let mut file = self.open(path).await?;
            self.lines(&mut file).await?;
            return Ok(file);
        };
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        let mut last: VecDeque<Vec<u8>> = VecDeque::new();
        let mut file = self.open(path).await?;
        if let Ok(older) = File::open(rotated(path)) {
            keep_last(&mut BufReader::new(older), tail, &mut last);
        }
        keep_last(&mut file, tail, &mut last);
        for line in last {
            self.line(&line).await?;
        }
        Ok(file)
    }

    async fn open(&mut self, path: &Path) -> Result<BufReader<File>, Finished> {
        match File::open(path) {
            Ok(file) => Ok(BufReader::new(file)),
            Err(error) => {
                let _ = self.sender.send(Err(error)).await;
                Err(Finished)
            }
        }
    }

    /// Sends every whole line up to the end of the file.
    async fn lines(&mut self, file: &mut BufReader<File>) -> Result<(), Finished> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match file.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => self.line(&line).await?,
                Err(error) => {
                    let _ = self.sender.send(Err(error)).await;
                    return Err(Finished);
                }
            }
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Finished> {
        let Some((time, text)) = parse(line) else { return Ok(()) };
        if let Some(since) = self.options.since_unix_milliseconds
            && time.parse::<Timestamp>().is_ok_and(|time| time.as_millisecond() < since)
        {
            return Ok(());
        }
        if self.options.timestamps {
            self.chunk.extend_from_slice(time.as_bytes());
            self.chunk.push(b' ');
        }
        self.chunk.extend_from_slice(text);
        if self.chunk.len() >= CHUNK_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Finished> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.truncate(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        self.remaining -= chunk.len() as u64;
        self.sender.send(Ok(chunk.into())).await.map_err(|_| Finished)?;
        if self.remaining == 0 { Err(Finished) } else { Ok(()) }
    }
}

fn keep_last(file: &mut BufReader<File>, count: usize, last: &mut VecDeque<Vec<u8>>) {
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        last.push_back(std::mem::take(&mut line));
        if last.len() > count {
            last.pop_front();
        }
    }
}

/// Time and text (with its line end unless the line goes on) of `TIME STREAM F TEXT`.
fn parse(line: &[u8]) -> Option<(&str, &[u8])> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let (_stream, tag, text) = (fields.next()?, fields.next()?, fields.next()?);
    let text = if tag == b"P" { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
    Some((time, text))
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    async fn text(stream: LogStream) -> String {
        let chunks: Vec<io::Result<Bytes>> = stream.collect().await;
        chunks.into_iter().map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn the_end_of_a_log_is_read_and_followed_until_its_container_ends() {
        let folder = tempfile::tempdir().unwrap();
        let log = ContainerLog::create(folder.path(), 0).unwrap();
        let (mut sender, receiver) = tokio::net::unix::pipe::pipe().unwrap();
        let recording = tokio::spawn(log.clone().record(Some(Box::pin(receiver)), None));
        tokio::io::AsyncWriteExt::write_all(&mut sender, b"one\ntwo\nthree\n").await.unwrap();
        log.progress().wait_for(|progress| progress.lines == 3).await.unwrap();

        let options = LogOptions { tail_lines: Some(2), follow: true, ..LogOptions::default() };
        let following = read(folder.path(), 0, Some(log.clone()), options).unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut sender, b"four\nend").await.unwrap();
        drop(sender);
        recording.await.unwrap();
        assert_eq!(text(following).await, "two\nthree\nfour\nend\n");

        let limited = LogOptions { limit_bytes: Some(5), ..LogOptions::default() };
        assert_eq!(text(read(folder.path(), 0, None, limited).unwrap()).await, "one\nt");
        assert!(read(folder.path(), 1, None, LogOptions::default()).is_err());
    }
}
