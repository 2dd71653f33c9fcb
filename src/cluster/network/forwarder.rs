//! Copying between a connection outside and one inside, until both directions are done.
//!
//! So many connections at once; who comes then takes the place of the one that has been silent for longest, so that clients that
//! connect and say nothing keep nobody out.

mod seen;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use seen::{LastSeen, Seen};

/// What one listener carries.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at once.
    connections: usize,
    /// Silence of a connection after which its place may be taken.
    silence: Duration,
}

const LIMITS: Limits = Limits { connections: 4096, silence: Duration::from_secs(5) };

/// Out of files or memory: others have to end first.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves `listener` until the task is aborted, which also ends its connections: each accepted connection is joined with one
/// from `connect`. A refused one is closed.
pub(super) async fn serve<F, C>(listener: TcpListener, connect: F)
where
    F: Fn(&TcpStream) -> C,
    C: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    serve_within(LIMITS, listener, connect).await;
}

async fn serve_within<F, C>(limits: Limits, listener: TcpListener, connect: F)
where
    F: Fn(&TcpStream) -> C,
    C: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    let mut connections = Connections { limits, tasks: JoinSet::new(), known: HashMap::new() };
    let mut waiting = None;
    loop {
        if let Some(outside) = waiting.take_if(|_| connections.make_room()) {
            let inside = connect(&outside);
            connections.add(outside, inside);
        }
        let room = waiting.as_ref().map(|_| connections.room());
        tokio::select! {
            Some(ended) = connections.tasks.join_next_with_id() => connections.forget(ended),
            () = tokio::time::sleep_until(room.unwrap_or_else(Instant::now)), if room.is_some() => {}
            accepted = listener.accept(), if room.is_none() => match accepted {
                Ok((outside, _)) => waiting = Some(outside),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    let _ended = connections.end_silent();
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

/// The connections of one listener.
struct Connections {
    limits: Limits,
    tasks: JoinSet<()>,
    known: HashMap<Id, (Arc<LastSeen>, AbortHandle)>,
}

impl Connections {
    /// Whether there is a place for another connection, which may have been that of a silent one.
    fn make_room(&mut self) -> bool {
        self.known.len() < self.limits.connections || self.end_silent()
    }

    /// When the place of a silent connection may be taken.
    fn room(&self) -> Instant {
        self.most_silent().map_or_else(Instant::now, |(_, since)| since + self.limits.silence)
    }

    fn most_silent(&self) -> Option<(&AbortHandle, Instant)> {
        let all = self.known.values().map(|(seen, task)| (task, seen.get()));
        all.min_by_key(|(_, since)| *since)
    }

    /// Ends the connection that has been silent for longest, if it has been for long enough.
    fn end_silent(&mut self) -> bool {
        let Some((task, since)) = self.most_silent() else { return false };
        if since.elapsed() < self.limits.silence {
            return false;
        }
        let id = task.id();
        task.abort();
        self.known.remove(&id);
        true
    }

    fn add(
        &mut self,
        outside: TcpStream,
        connecting: impl Future<Output = io::Result<TcpStream>> + Send + 'static,
    ) {
        let seen = Arc::new(LastSeen::now());
        let task = self.tasks.spawn(join(Seen::new(outside, seen.clone()), connecting));
        self.known.insert(task.id(), (seen, task));
    }

    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.known.remove(&id);
    }
}

async fn join(mut outside: Seen, connecting: impl Future<Output = io::Result<TcpStream>>) {
    match connecting.await {
        Ok(mut inside) => {
            let _ = outside.stream().set_nodelay(true);
            let _ = inside.set_nodelay(true);
            // Its end, by whichever side, is the normal case.
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        }
        Err(error) => tracing::debug!(%error, "a forwarded connection was refused"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A listener that carries two connections to a server which says everything again.
    async fn forwarded(silence: Duration) -> std::net::SocketAddr {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = server.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let limits = Limits { connections: 2, silence };
        tokio::spawn(serve_within(limits, listener, move |_| TcpStream::connect(target)));
        address
    }

    async fn said_again(stream: &mut TcpStream) {
        stream.write_all(b"x").await.expect("written");
        assert_eq!(stream.read_u8().await.expect("an answer"), b'x');
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_gets_that_of_the_most_silent() {
        let address = forwarded(Duration::ZERO).await;
        let mut first = TcpStream::connect(address).await.expect("connected");
        said_again(&mut first).await;
        let mut second = TcpStream::connect(address).await.expect("connected");
        said_again(&mut second).await;
        said_again(&mut first).await;
        let mut third = TcpStream::connect(address).await.expect("connected");
        said_again(&mut third).await;
        assert_eq!(second.read(&mut [0; 1]).await.ok().unwrap_or(0), 0, "the most silent one is closed");
        said_again(&mut first).await;
    }

    #[tokio::test]
    async fn a_place_in_use_is_not_taken() {
        let address = forwarded(Duration::from_secs(3600)).await;
        let mut first = TcpStream::connect(address).await.expect("connected");
        said_again(&mut first).await;
        let mut second = TcpStream::connect(address).await.expect("connected");
        said_again(&mut second).await;
        let mut third = TcpStream::connect(address).await.expect("connected");
        third.write_all(b"x").await.expect("written");
        drop(second);
        // Its turn comes with the end of another.
        assert_eq!(third.read_u8().await.expect("an answer"), b'x');
        said_again(&mut first).await;
    }
}
