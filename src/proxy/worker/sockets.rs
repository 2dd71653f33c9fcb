//! The listening sockets of one worker, kept in step with the configuration.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::proto::core::socket_option::SocketState;
use crate::config::{Listener, SocketOption};

use super::context::{ConnectionGuard, Worker};

/// Connections of the whole process; more are closed at once.
const MAX_CONNECTIONS: usize = 50_000;

/// Open sockets by listener name and configured address.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: HashMap<(String, SocketAddr), Open>,
}

/// A socket that is listened on.
#[derive(Debug)]
struct Open {
    /// With which it was made: with others it is another.
    options: Vec<SocketOption>,
    task: JoinHandle<()>,
}

impl Sockets {
    /// Opens what is new, closes what is gone.
    pub(crate) fn follow(&mut self, worker: &Rc<Worker>) {
        let snapshot = worker.snapshot();
        let wanted: Vec<_> = snapshot
            .listeners
            .values()
            .filter(|l| l.bind_to_port && worker.accepts(l.direction))
            .flat_map(|l| l.addresses.iter().map(|a| (l.name.to_string(), *a)))
            .collect();
        self.open.retain(|key, open| {
            let listener = snapshot.listeners.get(&*key.0);
            let same = listener.is_some_and(|listener| listener.socket_options == open.options);
            let keep = wanted.contains(key) && same;
            if !keep {
                open.task.abort();
                forget(worker, key);
            }
            keep
        });
        for key in wanted {
            if self.open.contains_key(&key) {
                continue;
            }
            let Some(listener) = snapshot.listeners.get(&*key.0) else { continue };
            match bind(worker, &key, listener) {
                Ok(socket) => {
                    let task = tokio::task::spawn_local(accept(worker.clone(), key.0.clone(), socket));
                    self.open.insert(key, Open { options: listener.socket_options.clone(), task });
                }
                Err(error) => {
                    tracing::error!(listener = key.0, address = %key.1, %error, "cannot listen; is the port in use? (mode TPROXY needs the capability NET_ADMIN)")
                }
            }
        }
    }

    /// Closes every socket.
    pub(crate) fn close(&mut self, worker: &Worker) {
        for (key, open) in self.open.drain() {
            open.task.abort();
            forget(worker, &key);
        }
    }
}

fn forget(worker: &Worker, key: &(String, SocketAddr)) {
    let mut listening = worker.shared.listening.lock().unwrap_or_else(PoisonError::into_inner);
    listening.retain(|(name, address)| *name != key.0 || (key.1.port() != 0 && *address != key.1));
}

/// Binds with `SO_REUSEPORT`, so that every worker has a queue of its own. With port 0 the first worker's port counts.
fn bind(worker: &Worker, key: &(String, SocketAddr), configured: &Listener) -> io::Result<TcpListener> {
    let mut listening = worker.shared.listening.lock().unwrap_or_else(PoisonError::into_inner);
    let mut address = key.1;
    if address.port() == 0
        && let Some((_, known)) =
            listening.iter().find(|(name, known)| *name == key.0 && known.ip() == address.ip())
    {
        address = *known;
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if configured.transparent {
        crate::sys::make_transparent(&SockRef::from(&socket), address)?;
    }
    let set = |state| SocketOption::set_all(&configured.socket_options, state, &SockRef::from(&socket));
    socket.set_nonblocking(true)?;
    set(SocketState::StatePrebind)?;
    socket.bind(&address.into())?;
    set(SocketState::StateBound)?;
    socket.listen(4096)?;
    set(SocketState::StateListening)?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = (key.0.clone(), listener.local_addr()?);
    if !listening.contains(&bound) {
        listening.push(bound);
    }
    Ok(listener)
}

async fn accept(worker: Rc<Worker>, name: String, socket: TcpListener) {
    loop {
        match socket.accept().await {
            Ok((io, remote)) => {
                let listener: Option<Arc<Listener>> = worker.snapshot().listeners.get(&name).cloned();
                let Some(listener) =
                    listener.filter(|_| worker.shared.connections.load(Ordering::Relaxed) < MAX_CONNECTIONS)
                else {
                    continue;
                };
                let guard = ConnectionGuard::new(&worker.shared);
                let worker = worker.clone();
                tokio::task::spawn_local(async move {
                    crate::listen::accept::serve(worker, listener, io, remote).await;
                    drop(guard);
                });
            }
            Err(error) => {
                tracing::warn!(listener = name, %error, "cannot accept; are file descriptors used up?");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
