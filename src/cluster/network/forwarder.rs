//! Copying between a connection outside and one inside, until both directions are done.

use std::future::Future;
use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// More connections wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;

/// Serves `listener` until the task is aborted, which also ends its connections: each accepted connection is joined with one
/// from `connect`. A refused one is closed.
pub(super) async fn serve<F, C>(listener: TcpListener, connect: F)
where
    F: Fn(&TcpStream) -> C,
    C: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((outside, _)) => {
                    let inside = connect(&outside);
                    connections.spawn(join(outside, inside));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of files or memory: others have to end first.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn join(mut outside: TcpStream, connecting: impl Future<Output = io::Result<TcpStream>>) {
    match connecting.await {
        Ok(mut inside) => {
            let _ = outside.set_nodelay(true);
            let _ = inside.set_nodelay(true);
            // Its end, by whichever side, is the normal case.
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        }
        Err(error) => tracing::debug!(%error, "a forwarded connection was refused"),
    }
}
