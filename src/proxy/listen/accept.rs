//! One accepted connection: where it was going, what it speaks, which chain serves it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use crate::access_log::format::Facts;
use crate::config::{ChainQuery, Codec, FilterChain, Listener, Terminal};
use crate::filter::admission;
use crate::filter::rbac::{Subject, Verdict};
use crate::http::exchange::Scene;
use crate::http::headers::HeaderList;
use crate::http::info::{ConnectionInfo, Flags, StreamInfo};
use crate::http::wire::{Wire, borrow_buffer};
use crate::stats::HttpCounters;
use crate::tls::names;
use crate::upstream::original::Caller;
use crate::worker::context::Worker;

use super::proxy_protocol::{self, Addresses, Told};
use super::sniff::{Questions, Sniffed, sniff};
use super::stream::{Prefixed, Stream};

/// Time for a PROXY header where the listener sets none.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Serves a connection that was accepted on `bound`.
pub(crate) async fn serve(worker: Rc<Worker>, bound: Arc<Listener>, mut io: TcpStream, remote: SocketAddr) {
    let _ = io.set_nodelay(true);
    let Ok(mut local) = io.local_addr() else { return };
    if bound.original_dst_filter || bound.use_original_dst {
        local = crate::sys::original_destination(&io).unwrap_or(local);
    }
    let listener = hand_off(&worker, &bound, local);
    let direct = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let counters = worker.listener_counters(&listener);
    counters.downstream_cx_total.add(1);
    counters.downstream_cx_active.add(1);
    let mut prefix = BytesMut::new();
    let port = local.port();
    let told = from_balancer(&listener, &mut io, &mut prefix, (direct, local)).await;
    if let Some((remote, local)) = told
        && let Some(sniffed) = inspect(&listener, &mut io, &mut prefix, port).await
    {
        let call = Call { worker, listener, local, remote, direct, sniffed, counters: counters.clone() };
        call.run(Prefixed { io, prefix }).await;
    }
    counters.downstream_cx_active.sub(1);
}

/// Source and destination as a load balancer tells them, if the listener has it do so; else as they are. `None` = the
/// connection is refused.
async fn from_balancer(
    listener: &Listener,
    io: &mut TcpStream,
    prefix: &mut BytesMut,
    known: Addresses,
) -> Option<Addresses> {
    let Some(expected) = listener.proxy_protocol else { return Some(known) };
    let limit = listener.filters_timeout.unwrap_or(HANDSHAKE);
    match tokio::time::timeout(limit, proxy_protocol::read(io, prefix)).await {
        Ok(Ok(Told::Addresses(told))) => Some(told),
        Ok(Ok(Told::Nothing)) => Some(known),
        Ok(Ok(Told::NoHeader)) if expected.optional => Some(known),
        _ => None,
    }
}

/// The virtual listener for the original destination: its address, then the wildcard of its port, then the listener
/// that accepted.
fn hand_off(worker: &Worker, bound: &Arc<Listener>, local: SocketAddr) -> Arc<Listener> {
    if !bound.use_original_dst {
        return bound.clone();
    }
    let snapshot = worker.snapshot();
    let any: std::net::IpAddr = if local.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let found = snapshot
        .by_address
        .get(&local)
        .or_else(|| snapshot.by_address.get(&SocketAddr::new(any, local.port())));
    found.filter(|listener| !listener.bind_to_port).unwrap_or(bound).clone()
}

/// Runs the inspectors; `None` = the connection ended or took too long.
async fn inspect(
    listener: &Listener,
    io: &mut TcpStream,
    prefix: &mut BytesMut,
    port: u16,
) -> Option<Sniffed> {
    let ask = Questions {
        tls: listener.tls_inspector.as_ref().is_some_and(|off| !off.covers(port)),
        http: listener.http_inspector.as_ref().is_some_and(|off| !off.covers(port)),
    };
    if !ask.tls && !ask.http {
        return Some(Sniffed::default());
    }
    match listener.filters_timeout {
        None => sniff(io, prefix, ask).await.ok(),
        Some(limit) => match tokio::time::timeout(limit, sniff(io, prefix, ask)).await {
            Ok(done) => done.ok(),
            Err(_) => listener.continue_on_timeout.then(Sniffed::default),
        },
    }
}

struct Call {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    local: SocketAddr,
    remote: SocketAddr,
    /// The peer of the socket, which may be a load balancer.
    direct: SocketAddr,
    sniffed: Sniffed,
    counters: Arc<HttpCounters>,
}

impl Call {
    fn choose(&self, listener: &Listener) -> Option<Arc<FilterChain>> {
        let query = ChainQuery {
            destination: self.local,
            source: self.remote,
            direct_source: self.direct,
            server_name: &self.sniffed.server_name,
            tls: self.sniffed.tls,
            alpn: &self.sniffed.alpn,
        };
        listener.choose(&query).cloned()
    }

    async fn run(self, plain: Prefixed) {
        let Some(chain) = self.choose(&self.listener) else {
            self.counters.no_filter_chain_match.add(1);
            self.log_refused();
            // The client sent something that nobody will take: it is told by a reset, as by Envoy, which leaves it unread.
            if !plain.prefix.is_empty() {
                let _closed_anyway = plain.io.set_zero_linger();
            }
            return;
        };
        let places = match admission::admit(&chain.filters.admission, &self.worker.registry) {
            Ok(places) => places,
            Err(refused) => {
                tokio::time::sleep(refused.delay).await;
                return;
            }
        };
        let mut info = self.info();
        let stream = match &chain.tls {
            None => Stream::Plain(plain),
            Some(tls) => {
                match tokio::time::timeout(chain.handshake, self.handshake(tls, plain, &mut info)).await {
                    Ok(Some(stream)) => stream,
                    _ => {
                        self.counters.ssl_connection_error.add(1);
                        return;
                    }
                }
            }
        };
        if !self.allowed(&chain, &info) {
            return;
        }
        let info = Rc::new(info);
        match &chain.terminal {
            Terminal::Close => {}
            Terminal::Tcp(proxy) => {
                crate::tcp::proxy::serve(&self.worker, &chain, proxy, stream, info, self.local).await
            }
            Terminal::Http(manager) => {
                let codec = manager.codec;
                self.http(chain.clone(), codec, stream, info).await;
            }
        }
        drop(places);
    }

    fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            local: self.local,
            remote: self.remote,
            direct_remote: self.direct,
            caller: self.listener.original_source.and_then(|mark| Caller::at(self.remote, mark)),
            server_name: self.sniffed.server_name.clone(),
            tls: false,
            peer: None,
            local_principal: None,
            direction: self.listener.direction,
            buffer_limit: self.listener.buffer_limit,
        }
    }

    async fn handshake(
        &self,
        tls: &crate::tls::context::DownstreamTls,
        plain: Prefixed,
        info: &mut ConnectionInfo,
    ) -> Option<Stream> {
        let state = tls.current()?;
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), plain).await.ok()?;
        let hello = start.client_hello();
        info.server_name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let config = state.config(hello.alpn().map(Iterator::collect));
        let stream = start.into_stream(config).await.ok()?;
        info.tls = true;
        info.local_principal = state.principal.clone();
        if let Some(leaf) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            let peer = names::read(leaf)?;
            if !names::accepted(&peer, &state.trust.names) {
                return None;
            }
            info.peer = Some(Arc::new(peer));
        }
        self.counters.ssl_handshake.add(1);
        Some(Stream::Server(Box::new(stream)))
    }

    fn allowed(&self, chain: &FilterChain, info: &ConnectionInfo) -> bool {
        let subject = Subject { connection: info, remote: info.remote.ip(), http: None, metadata: None };
        chain.filters.rbac.iter().all(|rbac| {
            match rbac.shadow(&subject) {
                Some(Verdict::Allowed) => self.counters.rbac_shadow_allowed.add(1),
                Some(Verdict::Denied { .. }) => self.counters.rbac_shadow_denied.add(1),
                None => {}
            }
            let verdict = rbac.judge(&subject);
            let counter = if verdict == Verdict::Allowed {
                &self.counters.rbac_allowed
            } else {
                &self.counters.rbac_denied
            };
            counter.add(1);
            verdict == Verdict::Allowed
        })
    }

    async fn http(self, chain: Arc<FilterChain>, codec: Codec, stream: Stream, info: Rc<ConnectionInfo>) {
        let h2 = match codec {
            Codec::Http1 => false,
            Codec::Http2 => true,
            Codec::Auto => stream.alpn() == Some(b"h2") || self.sniffed.alpn.iter().any(|p| p == "h2c"),
        };
        let Some(first) = scene(&self.worker, &chain, &info) else { return };
        let http_counters = first.counters.clone();
        http_counters.downstream_cx_total.add(1);
        http_counters.downstream_cx_active.add(1);
        let worker = self.worker.clone();
        let mut generation = worker.generation();
        let mut serving = chain;
        let mut ready = first.clone();
        // A new version of the listener takes over between requests. A chain that is gone, or whose TLS is another now,
        // serves the request that is there and then ends the connection.
        let current = move || {
            if worker.generation() == generation {
                return Some(ready.clone());
            }
            let snapshot = worker.snapshot();
            generation = snapshot.generation();
            let listener = snapshot.listeners.get(&*self.listener.name);
            match listener.and_then(|listener| self.choose(listener)) {
                Some(chain) if Arc::ptr_eq(&chain, &serving) => {}
                Some(chain) if same_tls(&chain, &serving) => {
                    if !self.allowed(&chain, &info) {
                        return None;
                    }
                    ready = scene(&worker, &chain, &info)?;
                    serving = chain;
                }
                _ => ready.leaving = true,
            }
            Some(ready.clone())
        };
        // Without sniffing and ALPN, cleartext HTTP/2 shows itself by its preface.
        let (h2, stream) = match stream {
            Stream::Plain(mut plain) if !h2 && codec == Codec::Auto => {
                (has_preface(&mut plain).await, Stream::Plain(plain))
            }
            stream => (h2, stream),
        };
        match (h2, stream) {
            (true, stream) => crate::http::h2_server::serve(stream, first, current).await,
            (false, Stream::Plain(mut plain)) => {
                let input = std::mem::take(&mut plain.prefix);
                crate::http::h1_server::serve(Wire::new(Stream::Plain(plain), input), current).await;
            }
            (false, stream) => {
                crate::http::h1_server::serve(Wire::new(stream, BytesMut::new()), current).await
            }
        }
        http_counters.downstream_cx_active.sub(1);
    }

    /// No chain serves the connection: the listener's log says so (flag NR).
    fn log_refused(&self) {
        let mut stream = StreamInfo::new("");
        stream.flags.set(Flags::NO_ROUTE);
        stream.details = "filter_chain_not_found".into();
        stream.duration = stream.start.elapsed();
        let (connection, none) = (self.info(), HeaderList::default());
        let facts = Facts {
            info: &stream,
            connection: &connection,
            request: &none,
            response: &none,
            pseudo: [b""; 4],
        };
        self.listener.access_logs.iter().for_each(|log| log.log(&self.worker, &facts.into()));
    }
}

/// Whether connections that were set up by one chain could have been by the other.
fn same_tls(one: &FilterChain, other: &FilterChain) -> bool {
    match (&one.tls, &other.tls) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_like(other),
        _ => false,
    }
}

/// Reads the first bytes and compares them with the HTTP/2 preface; what was read stays in the prefix.
async fn has_preface(plain: &mut Prefixed) -> bool {
    use tokio::io::AsyncReadExt;
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    loop {
        let shared = plain.prefix.len().min(PREFACE.len());
        if plain.prefix[..shared] != PREFACE[..shared] {
            return false;
        }
        if shared == PREFACE.len() {
            return true;
        }
        let read = async {
            // Who waits for the first byte holds no buffer.
            plain.io.readable().await?;
            if plain.prefix.capacity() == 0 {
                plain.prefix = borrow_buffer();
            }
            plain.io.read_buf(&mut plain.prefix).await
        };
        match tokio::time::timeout(Duration::from_secs(3600), read).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return false,
        }
    }
}

fn scene(worker: &Rc<Worker>, chain: &FilterChain, info: &Rc<ConnectionInfo>) -> Option<Scene> {
    let Terminal::Http(manager) = &chain.terminal else { return None };
    let counters = worker.http_counters(&manager.stat_prefix);
    Some(Scene {
        worker: worker.clone(),
        manager: manager.clone(),
        connection: info.clone(),
        counters,
        leaving: false,
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::wire::spare_buffers;

    #[tokio::test]
    async fn connections_one_after_another_use_one_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        for _ in 0..20 {
            let address = listener.local_addr().expect("address");
            let mut client = TcpStream::connect(address).await.expect("connect");
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("write");
            let (io, _) = listener.accept().await.expect("accept");
            let mut plain = Prefixed { io, prefix: BytesMut::new() };
            assert!(!has_preface(&mut plain).await);
            let input = std::mem::take(&mut plain.prefix);
            drop(Wire::new(Stream::Plain(plain), input));
        }
        assert_eq!(spare_buffers(), 1);
    }
}
