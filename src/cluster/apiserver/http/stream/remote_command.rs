//! `v4.channel.k8s.io` over SPDY: exec and attach as clients before Kubernetes 1.31 ask for them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::channels::exit_status;
use super::spdy::{self, Outgoing, SpdyStream, Transport};
use crate::pod_runtime::{ByteReader, ByteWriter, ExecExit, ExecOptions, ExecSession, TerminalSize};

/// The subprotocol.
pub(super) const PROTOCOL: &str = "v4.channel.k8s.io";
/// How long the client may take to open its streams.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Bytes read from the command at a time.
const CHUNK: usize = 16 << 10;
/// Longest description of a terminal's size.
const RESIZE_LIMIT: usize = 1024;

/// The streams of one session.
#[derive(Default)]
struct Streams {
    error: Option<SpdyStream>,
    stdin: Option<SpdyStream>,
    stdout: Option<SpdyStream>,
    stderr: Option<SpdyStream>,
    resize: Option<SpdyStream>,
}

impl Streams {
    fn place(&mut self, name: &str) -> Option<&mut Option<SpdyStream>> {
        Some(match name {
            "error" => &mut self.error,
            "stdin" => &mut self.stdin,
            "stdout" => &mut self.stdout,
            "stderr" => &mut self.stderr,
            "resize" => &mut self.resize,
            _ => return None,
        })
    }

    fn complete(&self, options: &ExecOptions) -> bool {
        self.error.is_some()
            && self.stdin.is_some() == options.stdin
            && self.stdout.is_some() == options.stdout
            && self.stderr.is_some() == options.stderr
            && self.resize.is_some() == options.tty
    }
}

/// Serves an exec or attach session until it has ended.
pub(super) async fn serve(transport: Transport, options: ExecOptions, session: ExecSession) {
    spdy::serve(transport, async |accepted| {
        let opened = tokio::time::timeout(OPEN_LIMIT, all_streams(accepted, &options)).await;
        if let Ok(Some(streams)) = opened {
            run(streams, session).await;
        }
    })
    .await;
}

async fn all_streams(mut accepted: mpsc::Receiver<SpdyStream>, options: &ExecOptions) -> Option<Streams> {
    let mut streams = Streams::default();
    while !streams.complete(options) {
        let stream = accepted.recv().await?;
        let name = stream.header("streamtype").to_owned();
        match streams.place(&name) {
            Some(place) => *place = Some(stream),
            None => stream.outgoing.reset().await,
        }
    }
    Some(streams)
}

async fn run(streams: Streams, mut session: ExecSession) {
    let Some(error) = streams.error else { return };
    let outputs = [(streams.stdout, session.stdout.take()), (streams.stderr, session.stderr.take())];
    let [stdout, stderr] = outputs.map(|(stream, reader)| copy_out(stream.map(|one| one.outgoing), reader));
    let finish = async {
        let exit =
            (&mut session.exit).await.unwrap_or_else(|_| ExecExit::Failed("the command was lost".to_owned()));
        tokio::join!(stdout, stderr);
        error.outgoing.send(exit_status(&exit).to_string().as_bytes()).await;
        error.outgoing.finish().await;
    };
    let input = async {
        tokio::join!(
            copy_in(streams.stdin, session.stdin.take()),
            resize(streams.resize, session.resize.take())
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = finish => {}
        () = input => {}
        () = error.gone.cancelled() => {}
    }
}

async fn copy_out(outgoing: Option<Outgoing>, reader: Option<ByteReader>) {
    let Some(outgoing) = outgoing else { return };
    if let Some(mut reader) = reader {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if !outgoing.send(&buffer[..count]).await {
                return;
            }
        }
    }
    outgoing.finish().await;
}

async fn copy_in(stream: Option<SpdyStream>, writer: Option<ByteWriter>) {
    let (Some(mut stream), Some(mut writer)) = (stream, writer) else { return };
    while let Some(bytes) = stream.incoming.recv().await {
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// One JSON object after another: `{"Width":80,"Height":24}`.
async fn resize(stream: Option<SpdyStream>, sizes: Option<mpsc::Sender<TerminalSize>>) {
    let (Some(mut stream), Some(sizes)) = (stream, sizes) else { return };
    let mut text = Vec::new();
    while let Some(bytes) = stream.incoming.recv().await {
        text.extend_from_slice(&bytes);
        let mut objects = serde_json::Deserializer::from_slice(&text).into_iter::<serde_json::Value>();
        let mut last = None;
        while let Some(Ok(object)) = objects.next() {
            last = Some(object);
        }
        let read = objects.byte_offset();
        text.drain(..read);
        let size = last.and_then(|size| super::channels::terminal_size(&size));
        if let Some(size) = size {
            let _ = sizes.send(size).await;
        }
        if text.len() > RESIZE_LIMIT {
            return;
        }
    }
}
