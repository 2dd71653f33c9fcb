//! Carrying one connection's bytes both ways.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::access_log::format::Facts;
use crate::config::{Direction, FilterChain, HttpVersion, TcpProxy, Tunnel};
use crate::filter::peer_metadata::Peer;
use crate::http::headers::HeaderList;
use crate::http::info::{ConnectionInfo, Flags, StreamInfo};
use crate::listen::stream::Stream;
use crate::stats::TcpLabels;
use crate::upstream::balance::PassedOver;
use crate::upstream::connect::{Offer, connect};
use crate::upstream::host::{Host, Principals, Slot};
use crate::upstream::original::{Origin, Original};
use crate::upstream::outlier::Outcome;
use crate::upstream::pool::Pool;
use crate::worker::context::Worker;

use super::peer_exchange;
use super::tunnel::{self, TunnelError, Tunneled};

/// How long the caller's introduction is waited for; one that comes later is still taken off, but names nobody.
const INTRODUCTION: Duration = Duration::from_millis(200);
/// First and largest copy buffer.
const BUFFERS: (usize, usize) = (4 * 1024, 64 * 1024);

/// Serves a connection whose chain ends in a TCP proxy.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    chain: &FilterChain,
    proxy: &TcpProxy,
    down: Stream,
    connection: Rc<ConnectionInfo>,
    original: SocketAddr,
) {
    let mut info = StreamInfo::new("");
    let labels = dial_and_copy(worker, chain, proxy, down, &connection, original, &mut info).await;
    info.duration = info.start.elapsed();
    if let Some(labels) = labels {
        let mut shard = worker.istio.lock().unwrap_or_else(PoisonError::into_inner);
        shard.tcp_bytes(&labels, info.bytes_sent, info.bytes_received);
        shard.tcp_closed(&labels);
    }
    let none = HeaderList::default();
    let facts =
        Facts { info: &info, connection: &connection, request: &none, response: &none, pseudo: [b""; 4] };
    proxy.access_logs.iter().for_each(|log| log.log(worker, &facts.into()));
}

async fn dial_and_copy(
    worker: &Rc<Worker>,
    chain: &FilterChain,
    proxy: &TcpProxy,
    mut down: Stream,
    connection: &ConnectionInfo,
    original: SocketAddr,
    info: &mut StreamInfo,
) -> Option<TcpLabels> {
    let mut early = Early::default();
    let mut peer = None;
    if chain.filters.metadata_exchange && down.alpn() == Some(peer_exchange::ALPN) {
        peer = introduce(worker, &mut down, &mut early).await?;
    }
    let name = proxy.cluster(worker.random());
    info.cluster = name.cloned();
    let Some(pool) = name.and_then(|name| worker.pool(name)) else {
        info.flags.set(Flags::NO_CLUSTER);
        return None;
    };
    let Dialed { mut up, host, slot } = dial(worker, proxy, &pool, connection, original, info).await?;
    if pool.cluster.metadata_exchange && up.alpn() == Some(peer_exchange::ALPN) {
        up.write_all(&peer_exchange::header(&worker.own)).await.ok()?;
        up.flush().await.ok()?;
        early.from_up = Some(BytesMut::new());
    }
    let up = match &proxy.tunnel {
        None => Up::Direct(up),
        Some(tunnel) => {
            // The proxy's header, if it has one, comes before its answer.
            let mut read = early.from_up.take().unwrap_or_default();
            if pool.cluster.metadata_exchange && up.alpn() == Some(peer_exchange::ALPN) {
                peer_exchange::read(&mut up, &mut read).await.ok()?;
            }
            Up::Through(Box::new(ask(&pool, &host, up, read, tunnel, info).await?))
        }
    };
    let labels = chain.filters.istio_stats.as_ref().map(|config| {
        let workload = host.endpoint.workload.as_deref();
        let labels = labels(worker, connection, &pool.cluster.service, workload, peer, info);
        let labels = match host.principals().filter(|_| !labels.destination) {
            Some(Principals { own, endpoint }) => {
                TcpLabels { source_principal: own, target_principal: endpoint, ..labels }
            }
            None => labels,
        };
        let none = HeaderList::default();
        let facts = Facts { info, connection, request: &none, response: &none, pseudo: [b""; 4] };
        TcpLabels { changed: config.changed(&facts.into()), ..labels }
    });
    if let Some(labels) = &labels {
        worker.istio.lock().unwrap_or_else(PoisonError::into_inner).tcp_opened(labels);
    }
    let copying = async {
        match up {
            Up::Direct(up) => copy_both(down, up, early, proxy.idle_timeout).await,
            Up::Through(up) => copy_both(down, *up, early, proxy.idle_timeout).await,
        }
    };
    let (received, sent) = match proxy.max_connection {
        Some(limit) => tokio::time::timeout(limit, copying).await.unwrap_or_default(),
        None => copying.await,
    };
    info.bytes_received = received;
    info.bytes_sent = sent;
    drop(slot);
    labels
}

/// The connection to the destination: on its own, or through an HTTP proxy.
enum Up {
    Direct(Stream),
    Through(Box<Tunneled<Stream>>),
}

/// A connection to an endpoint, counted while the slot lives.
struct Dialed {
    up: Stream,
    host: Rc<Host>,
    slot: Slot,
}

/// Connects to an endpoint, to another one if that fails and there are attempts left. `None` = the flags say why.
async fn dial(
    worker: &Rc<Worker>,
    proxy: &TcpProxy,
    pool: &Rc<Pool>,
    connection: &ConnectionInfo,
    original: SocketAddr,
    info: &mut StreamInfo,
) -> Option<Dialed> {
    let hash = proxy.hash_source.then(|| crate::upstream::balance::hash_of_client(connection.remote.ip()));
    let going_to = Original::of(connection, original);
    let mut tried = Vec::new();
    for _ in 0..proxy.max_connect_attempts {
        let passed_over = PassedOver { endpoints: &tried, levels: &[] };
        let Some(host) = pool.choose(worker.random(), hash, passed_over, Some(going_to), &worker.registry)
        else {
            info.flags.set(Flags::NO_HEALTHY_UPSTREAM);
            return None;
        };
        let endpoint = &host.endpoint;
        info.upstream_host = Some(endpoint.address);
        pool.counters.upstream_cx_total.add(1);
        host.counters.cx_total.add(1);
        let from = (connection.remote, connection.local);
        let (cluster, transport) = (&pool.cluster, &host.transport);
        let origin = Origin { mark: worker.mark, caller: host.caller };
        match connect(cluster, endpoint, transport, from, None, Offer::AsConfigured, origin).await {
            Ok(up) => {
                pool.note(&host, Outcome::Connected);
                info.upstream_local = up.socket().local_addr().ok();
                host.note_principals(&up);
                let slot = host.count_connection(pool);
                return Some(Dialed { up, host, slot });
            }
            Err(error) => {
                failed(pool, &host, &error, info);
                tried.push(endpoint.address);
            }
        }
    }
    info.flags.set(Flags::UPSTREAM_CONNECTION_FAILURE);
    info.flags.set(Flags::CONNECT_ATTEMPTS);
    None
}

/// Asks an HTTP proxy for a tunnel, within the time there is to connect. `None` = the flags say why there is none.
async fn ask(
    pool: &Pool,
    host: &Host,
    up: Stream,
    read: BytesMut,
    tunnel: &Tunnel,
    info: &mut StreamInfo,
) -> Option<Tunneled<Stream>> {
    let asking = async {
        match pool.cluster.http {
            HttpVersion::Http2 => Err(TunnelError::Http2),
            _ => tunnel::open(up, read, tunnel).await,
        }
    };
    let asking = tokio::time::timeout(pool.cluster.connect_timeout, asking);
    match asking.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
        Ok(through) => Some(through),
        Err(error) => {
            failed(pool, host, &error, info);
            info.flags.set(Flags::UPSTREAM_CONNECTION_FAILURE);
            info.flags.set(Flags::CONNECT_ATTEMPTS);
            None
        }
    }
}

/// Counts a connection that did not come about, and notes why.
fn failed(pool: &Pool, host: &Host, error: &dyn std::error::Error, info: &mut StreamInfo) {
    host.counters.cx_connect_fail.add(1);
    pool.counters.upstream_cx_connect_fail.add(1);
    pool.note(host, Outcome::NoConnection);
    info.transport_failure = error.to_string().replace(' ', "_").into();
}

fn labels(
    worker: &Worker,
    connection: &ConnectionInfo,
    service: &Option<(Arc<str>, Arc<str>, Arc<str>)>,
    workload: Option<&str>,
    caller: Option<Arc<Peer>>,
    info: &StreamInfo,
) -> TcpLabels {
    let destination = connection.direction == Direction::Inbound;
    let unknown = || worker.unknown_peer.clone();
    let principal =
        |text: Option<&str>| text.filter(|_| destination).map_or_else(|| worker.unknown.clone(), Arc::from);
    let other = workload.and_then(|text| worker.endpoint_peer(text)).unwrap_or_else(unknown);
    let (source, target) = if destination {
        (caller.unwrap_or_else(unknown), worker.own.peer.clone())
    } else {
        (worker.own.peer.clone(), other)
    };
    let none = worker.unknown.clone();
    let special = info.cluster.clone().filter(|name| {
        matches!(&**name, "PassthroughCluster" | "BlackHoleCluster" | "InboundPassthroughCluster")
    });
    TcpLabels {
        destination,
        source,
        target,
        source_principal: principal(connection.principal()),
        target_principal: principal(connection.local_principal.as_deref()),
        service: service
            .clone()
            .unwrap_or_else(|| (none.clone(), special.unwrap_or_else(|| none.clone()), none.clone())),
        mutual_tls: connection.peer.is_some(),
        flags: info.flags,
        changed: None,
    }
}

/// Bytes read ahead of copying, from a side that may begin with a header.
#[derive(Default)]
struct Early {
    from_down: Option<BytesMut>,
    from_up: Option<BytesMut>,
}

/// Tells the calling sidecar who this is, and hears who it is, if it says so at once. `None` = the connection failed.
async fn introduce(worker: &Worker, down: &mut Stream, early: &mut Early) -> Option<Option<Arc<Peer>>> {
    down.write_all(&peer_exchange::header(&worker.own)).await.ok()?;
    down.flush().await.ok()?;
    let buffer = early.from_down.insert(BytesMut::new());
    match tokio::time::timeout(INTRODUCTION, peer_exchange::read(down, buffer)).await {
        Ok(Ok(peer)) => Some(peer.map(Arc::new)),
        Ok(Err(_)) => None,
        Err(_) => Some(None),
    }
}

/// Copies until both directions ended, one failed, or nothing moved for `idle`. Returns bytes up and bytes down.
async fn copy_both(
    down: Stream,
    up: impl AsyncRead + AsyncWrite + Unpin,
    early: Early,
    idle: Option<Duration>,
) -> (u64, u64) {
    let (down_read, down_write) = tokio::io::split(down);
    let (up_read, up_write) = tokio::io::split(up);
    let (sent_up, sent_down) = (Cell::new(0), Cell::new(0));
    let last = Cell::new(Instant::now());
    let both = async {
        let _ = tokio::try_join!(
            copy(down_read, up_write, early.from_down, &sent_up, &last),
            copy(up_read, down_write, early.from_up, &sent_down, &last)
        );
    };
    let watch = async {
        let Some(idle) = idle else { return std::future::pending().await };
        while last.get().elapsed() < idle {
            tokio::time::sleep(idle.saturating_sub(last.get().elapsed()).max(Duration::from_millis(10)))
                .await;
        }
    };
    tokio::select! {
        () = both => {}
        () = watch => {}
    }
    (sent_up.get(), sent_down.get())
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    exchanged: Option<BytesMut>,
    count: &Cell<u64>,
    last: &Cell<Instant>,
) -> io::Result<()> {
    if let Some(mut first) = exchanged {
        // The peer's header, if it is still to come, is not the application's.
        peer_exchange::read(&mut from, &mut first).await?;
        to.write_all(&first).await?;
        to.flush().await?;
        count.set(first.len() as u64);
    }
    let mut buffer = vec![0; BUFFERS.0];
    loop {
        let size = from.read(&mut buffer).await?;
        if size == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..size]).await?;
        to.flush().await?;
        count.set(count.get() + size as u64);
        last.set(Instant::now());
        // A full buffer means more is waiting: larger steps cost fewer system calls.
        if size == buffer.len() && size < BUFFERS.1 {
            buffer.resize(size * 4, 0);
        }
    }
}
