//! `v4.channel.k8s.io` and `v5.channel.k8s.io`: the first byte of each message names the stream.

use std::future::Future;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::handshake::Socket;
use crate::pod_runtime::{ByteReader, ExecExit, ExecSession, PortStream, TerminalSize};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// `v5`: the next byte names a stream that ends.
const CLOSE: u8 = 255;
/// Bytes read at a time.
const CHUNK: usize = 16 << 10;
/// Messages that may wait for a slow client.
const QUEUE: usize = 32;

/// A port and the connection to it, or why there is none.
pub(super) type ForwardedPort = (u16, Result<Box<dyn PortStream>, String>);

fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(data.len() + 1);
    bytes.put_u8(channel);
    bytes.extend_from_slice(data);
    Message::Binary(bytes.freeze())
}

/// The `Status` that ends an exec.
pub(super) fn exit_status(exit: &ExecExit) -> Value {
    match exit {
        ExecExit::Code(0) => json!({"metadata": {}, "status": "Success"}),
        ExecExit::Code(code) => json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
        ExecExit::Failed(message) => {
            json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500})
        }
    }
}

/// `{"Width":80,"Height":24}`.
pub(super) fn terminal_size(size: &Value) -> Option<TerminalSize> {
    let cells = |field: &str| size[field].as_u64().and_then(|cells| u16::try_from(cells).ok());
    Some(TerminalSize { width: cells("Width")?, height: cells("Height")? })
}

/// Carries an exec or attach session until it has ended.
pub(super) async fn run_exec(socket: impl Future<Output = Option<Socket>>, mut session: ExecSession) {
    let Some(socket) = socket.await else { return };
    let (mut sink, mut source) = socket.split();
    let (sender, mut receiver) = mpsc::channel::<Message>(QUEUE);
    let outputs = [(STDOUT, session.stdout.take()), (STDERR, session.stderr.take())];
    let mut readers = tokio::task::JoinSet::new();
    for (channel, reader) in outputs {
        if let Some(reader) = reader {
            readers.spawn(forward_output(channel, reader, sender.clone()));
        }
    }
    let write = async {
        while let Some(message) = receiver.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        // Without a code clients take the end for a broken connection.
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = sink.send(Message::Close(Some(normal))).await;
        let _ = sink.close().await;
    };
    let finish = async {
        let exit =
            (&mut session.exit).await.unwrap_or_else(|_| ExecExit::Failed("the command was lost".to_owned()));
        while readers.join_next().await.is_some() {}
        let _ = sender.send(message(ERROR, exit_status(&exit).to_string().as_bytes())).await;
        drop(sender);
    };
    let mut stdin = session.stdin.take();
    let resize = session.resize.take();
    let read = async {
        while let Some(Ok(incoming)) = source.next().await {
            if let Message::Binary(data) = incoming {
                handle_input(&data, &mut stdin, resize.as_ref()).await;
            } else if let Message::Close(_) = incoming {
                return;
            }
        }
    };
    // The client hanging up ends the session; the command ending sends its status and closes.
    tokio::select! {
        () = async { tokio::join!(write, finish); } => {}
        () = read => {}
    }
}

async fn forward_output(channel: u8, mut reader: ByteReader, sender: mpsc::Sender<Message>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count) = reader.read(&mut buffer).await {
        if count == 0 || sender.send(message(channel, &buffer[..count])).await.is_err() {
            return;
        }
    }
}

async fn handle_input(
    data: &Bytes,
    stdin: &mut Option<crate::pod_runtime::ByteWriter>,
    resize: Option<&mpsc::Sender<TerminalSize>>,
) {
    match (data.first(), data.get(1..)) {
        (Some(&STDIN), Some(bytes)) => {
            let Some(writer) = stdin else { return };
            let written = async {
                writer.write_all(bytes).await?;
                writer.flush().await
            };
            if written.await.is_err() {
                *stdin = None;
            }
        }
        (Some(&CLOSE), Some(&[STDIN])) => {
            if let Some(mut writer) = stdin.take() {
                let _ = writer.shutdown().await;
            }
        }
        (Some(&RESIZE), Some(bytes)) => {
            let size = serde_json::from_slice(bytes).ok().and_then(|size| terminal_size(&size));
            if let (Some(size), Some(resize)) = (size, resize) {
                let _ = resize.send(size).await;
            }
        }
        _ => {}
    }
}

/// Carries port-forwards: channel 2n is the data of the n-th port, 2n+1 its error stream; both begin with the port number.
pub(super) async fn run_port_forward(
    socket: impl Future<Output = Option<Socket>>,
    streams: Vec<ForwardedPort>,
) {
    let Some(socket) = socket.await else { return };
    let (mut sink, mut source) = socket.split();
    let (sender, mut receiver) = mpsc::channel::<Message>(QUEUE);
    let mut writers = Vec::new();
    let mut readers = tokio::task::JoinSet::new();
    for (at, (port, stream)) in streams.into_iter().enumerate() {
        let channel = u8::try_from(at * 2).unwrap_or(0);
        for channel in [channel, channel + 1] {
            let _ = sender.send(message(channel, &port.to_le_bytes())).await;
        }
        match stream {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                readers.spawn(forward_output(channel, Box::pin(reader), sender.clone()));
                writers.push(Some(writer));
            }
            Err(error) => {
                let _ = sender.send(message(channel + 1, error.as_bytes())).await;
                writers.push(None);
            }
        }
    }
    drop(sender);
    let write = async {
        while let Some(message) = receiver.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let read = async {
        while let Some(Ok(incoming)) = source.next().await {
            let Message::Binary(data) = incoming else { continue };
            let Some((channel, bytes)) = data.split_first() else { continue };
            let Some(writer) = writers.get_mut(usize::from(*channel) / 2).filter(|_| channel % 2 == 0) else {
                continue;
            };
            if let Some(open) = writer
                && open.write_all(bytes).await.is_err()
            {
                *writer = None;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}
