//! The sockets of the name server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, ResponseCode};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use sagene_base::dns_message::{refusal, udp_bytes};

use super::answer::{Verdict, decide};
use super::upstream::{Upstream, read_framed, write_framed};
use super::{DnsStatistics, NameTable, ResolvConf};
use crate::capture::PROXY_MARK;

/// Questions waiting for upstream servers, and TCP connections, at most; more are refused at once.
const CONCURRENT: usize = 512;
/// How long a TCP client may stay silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Largest question taken over UDP.
const UDP_BYTES: usize = 4096;

/// How the name server runs.
#[derive(Debug, Clone)]
pub struct DnsOptions {
    /// Port on the loopback addresses; 15053 in a pod.
    pub port: u16,
    /// Servers to pass questions on to, and the search domains of the workload.
    pub resolv_conf: ResolvConf,
}

/// Why the name server could not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for DNS on {address}")]
pub struct DnsError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

/// A bound name server; [`Self::run`] serves.
#[derive(Debug)]
pub struct DnsServer {
    udp: Vec<Arc<UdpSocket>>,
    tcp: Vec<TcpListener>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Arc<ArcSwap<NameTable>>,
    search: Vec<String>,
    upstream: Upstream,
    statistics: Arc<DnsStatistics>,
    slots: Arc<Semaphore>,
}

impl DnsServer {
    /// Binds to 127.0.0.1, and to ::1 where that exists. `table` may be replaced at any time.
    ///
    /// # Errors
    /// [`DnsError`] when the IPv4 port is taken.
    pub async fn bind(
        options: &DnsOptions,
        table: Arc<ArcSwap<NameTable>>,
        statistics: Arc<DnsStatistics>,
    ) -> Result<Self, DnsError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let (udp, tcp) = bind_pair(address).await.map_err(|source| DnsError { address, source })?;
        let port = udp.local_addr().map_or(options.port, |bound| bound.port());
        let (mut udp, mut tcp) = (vec![udp], vec![tcp]);
        if let Ok((udp6, tcp6)) = bind_pair(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            udp.push(udp6);
            tcp.push(tcp6);
        }
        // Asking oneself would go round in circles.
        let servers: Vec<_> = options
            .resolv_conf
            .servers
            .iter()
            .copied()
            .filter(|server| !server.is_loopback() || options.port != 53)
            .collect();
        Ok(Self {
            udp: udp.into_iter().map(Arc::new).collect(),
            tcp,
            shared: Arc::new(Shared {
                table,
                search: options.resolv_conf.search.clone(),
                upstream: Upstream::new(&servers),
                statistics,
                slots: Arc::new(Semaphore::new(CONCURRENT)),
            }),
        })
    }

    /// The port that was bound.
    pub fn port(&self) -> Option<u16> {
        self.udp.first()?.local_addr().ok().map(|address| address.port())
    }

    /// Uses other upstream servers than those of the options.
    #[cfg(test)]
    pub(super) fn with_upstream(mut self, servers: Vec<SocketAddr>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.upstream = Upstream::at(servers);
        }
        self
    }

    /// Serves until dropped.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        for socket in self.udp {
            tasks.spawn(serve_udp(socket, Arc::clone(&self.shared)));
        }
        for listener in self.tcp {
            tasks.spawn(serve_tcp(listener, Arc::clone(&self.shared)));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn bind_pair(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(address).await?;
    // The capture rules keep our answers in the application's conntrack zone by this mark.
    let _ = socket2::SockRef::from(&udp).set_mark(PROXY_MARK);
    let tcp = TcpListener::bind(udp.local_addr()?).await?;
    Ok((udp, tcp))
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut waiting = JoinSet::new();
    let mut buffer = vec![0; UDP_BYTES];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, client)) = received else {
                    // An error of an earlier answer (ICMP); the socket itself is fine.
                    continue;
                };
                let bytes = &buffer[..length];
                if let Some(forward) = shared.answer_udp(&socket, client, bytes).await {
                    let (socket, shared, bytes) = (Arc::clone(&socket), Arc::clone(&shared), bytes.to_vec());
                    waiting.spawn(async move { shared.forward_udp(&socket, client, &bytes, &forward).await });
                }
            }
            Some(_) = waiting.join_next(), if !waiting.is_empty() => {}
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONCURRENT => {
                    connections.spawn(serve_connection(stream, Arc::clone(&shared)));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a DNS connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve_connection(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Ok(Ok(bytes)) = timeout(TCP_IDLE, read_framed(&mut stream)).await {
        let Some(answer) = shared.answer_tcp(&bytes).await else {
            return;
        };
        if !matches!(timeout(TCP_IDLE, write_framed(&mut stream, &answer)).await, Ok(Ok(()))) {
            return;
        }
    }
}

impl Shared {
    /// Answers from the table; returns the question when it has to be passed on.
    async fn answer_udp(&self, socket: &UdpSocket, client: SocketAddr, bytes: &[u8]) -> Option<Box<Message>> {
        self.statistics.request();
        match decide(bytes, &self.table.load(), &self.search) {
            Verdict::Ignore => None,
            Verdict::Forward(question) => Some(question),
            Verdict::Answer(answer) => {
                let question = Message::from_vec(bytes).ok()?;
                if let Some(answer) = udp_bytes(&answer, &question) {
                    let _ = socket.send_to(&answer, client).await;
                }
                None
            }
        }
    }

    async fn forward_udp(&self, socket: &UdpSocket, client: SocketAddr, bytes: &[u8], question: &Message) {
        self.statistics.upstream_request();
        let answer = match self.slots.try_acquire() {
            Ok(_slot) => self.upstream.ask_udp(bytes).await,
            Err(_) => None,
        };
        if let Some(answer) = answer.or_else(|| self.failure(question)) {
            let _ = socket.send_to(&answer, client).await;
        }
    }

    async fn answer_tcp(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.statistics.request();
        let verdict = decide(bytes, &self.table.load(), &self.search);
        match verdict {
            Verdict::Ignore => None,
            Verdict::Answer(answer) => answer.to_vec().ok(),
            Verdict::Forward(question) => {
                self.statistics.upstream_request();
                let answer = match self.slots.try_acquire() {
                    Ok(_slot) => self.upstream.ask_tcp(bytes).await,
                    Err(_) => None,
                };
                answer.or_else(|| self.failure(&question))
            }
        }
    }

    /// "I could not ask."
    fn failure(&self, question: &Message) -> Option<Vec<u8>> {
        self.statistics.upstream_failure();
        refusal(question, ResponseCode::ServFail).to_vec().ok()
    }
}
