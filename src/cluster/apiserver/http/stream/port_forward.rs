//! `portforward.k8s.io`: each forwarded connection is a pair of SPDY streams, one for its data and one for what went wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::spdy::{self, Outgoing, SpdyStream, Transport};
use crate::pod_runtime::{PodRuntime, PortStream};

/// The subprotocol, as SPDY knows it.
pub(super) const PROTOCOL: &str = "portforward.k8s.io";
/// The same carried in a WebSocket.
pub(super) const TUNNELED_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
/// How long the second stream of a pair may be missing.
const PAIR_LIMIT: Duration = Duration::from_secs(30);
/// How often lonely streams are looked for.
const PAIR_CHECK: Duration = Duration::from_secs(10);
/// Bytes read from the pod at a time.
const CHUNK: usize = 32 << 10;

/// The pod that connections go to.
pub(super) struct Destination {
    pub(super) runtime: Arc<dyn PodRuntime>,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
}

struct Lonely {
    stream: SpdyStream,
    since: Instant,
}

/// Serves a connection of `kubectl port-forward` until it ends.
pub(super) async fn serve(transport: Transport, destination: Destination) {
    let destination = Arc::new(destination);
    spdy::serve(transport, |accepted| pair_up(accepted, destination)).await;
}

async fn pair_up(mut accepted: mpsc::Receiver<SpdyStream>, destination: Arc<Destination>) {
    let mut waiting: HashMap<String, Lonely> = HashMap::new();
    let mut connections = JoinSet::new();
    let mut check = tokio::time::interval(PAIR_CHECK);
    loop {
        tokio::select! {
            stream = accepted.recv() => {
                let Some(stream) = stream else { return };
                if let Some((data, error)) = paired(&mut waiting, stream).await {
                    connections.spawn(forward(destination.clone(), data, error));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = check.tick() => {
                let late: Vec<String> = waiting
                    .iter()
                    .filter(|(_, lonely)| lonely.since.elapsed() > PAIR_LIMIT)
                    .map(|(request, _)| request.clone())
                    .collect();
                for request in late {
                    if let Some(lonely) = waiting.remove(&request) {
                        lonely.stream.outgoing.reset().await;
                    }
                }
            }
        }
    }
}

/// The data and the error stream of a request, once both are there.
async fn paired(
    waiting: &mut HashMap<String, Lonely>,
    stream: SpdyStream,
) -> Option<(SpdyStream, SpdyStream)> {
    let kind = stream.header("streamtype").to_owned();
    if !matches!(kind.as_str(), "data" | "error") {
        stream.outgoing.reset().await;
        return None;
    }
    let request = stream.header("requestid").to_owned();
    match waiting.remove(&request) {
        Some(other) if other.stream.header("streamtype") != kind => Some(match kind.as_str() {
            "data" => (stream, other.stream),
            _ => (other.stream, stream),
        }),
        Some(other) => {
            stream.outgoing.reset().await;
            waiting.insert(request, other);
            None
        }
        None => {
            waiting.insert(request, Lonely { stream, since: Instant::now() });
            None
        }
    }
}

async fn forward(destination: Arc<Destination>, data: SpdyStream, error: SpdyStream) {
    let Destination { runtime, namespace, pod, uid } = destination.as_ref();
    let gone = data.gone.clone();
    let work = async {
        let port = data.header("port").parse::<u16>().ok().filter(|port| *port > 0);
        let connected = match port {
            Some(port) => runtime.port_forward(namespace, pod, port).await.map_err(|why| why.to_string()),
            None => Err(format!("{:?} is not a port", data.header("port"))),
        };
        match connected {
            Ok(connection) => carry(connection, data, &error).await,
            Err(why) => {
                let port = data.header("port");
                let message = format!("error forwarding port {port} to pod {pod}, uid {uid}: {why}");
                error.outgoing.send(message.as_bytes()).await;
                error.outgoing.finish().await;
                data.outgoing.finish().await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = gone.cancelled() => {}
    }
    error.outgoing.finish().await;
}

/// Both directions, each half-closed when its source is at its end.
async fn carry(connection: Box<dyn PortStream>, data: SpdyStream, error: &SpdyStream) {
    let (reader, writer) = tokio::io::split(connection);
    let from_pod = async {
        copy_out(reader, &data.outgoing).await;
        data.outgoing.finish().await;
        // Clients read this stream to its end before they close their connection.
        error.outgoing.finish().await;
    };
    let to_pod = copy_in(data.incoming, writer, &data.gone);
    tokio::join!(from_pod, to_pod);
}

async fn copy_out(mut reader: ReadHalf<Box<dyn PortStream>>, outgoing: &Outgoing) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        if !outgoing.send(&buffer[..count]).await {
            return;
        }
    }
}

async fn copy_in(
    mut incoming: mpsc::Receiver<Bytes>,
    mut writer: WriteHalf<Box<dyn PortStream>>,
    gone: &CancellationToken,
) {
    while let Some(bytes) = incoming.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The end of a broken stream is not an end of the data.
    if !gone.is_cancelled() {
        let _ = writer.shutdown().await;
    }
}
