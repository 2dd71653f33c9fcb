//! Serves DNS by UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Name;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::ClusterNames;
use sagene_base::dns_message;

use super::answer::{self, Verdict};
use super::upstream::{Upstream, read_framed, write_framed};
use crate::network::HostNetwork;

/// Questions answered at the same time; further ones are dropped, as clients ask again.
const MAX_QUESTIONS: usize = 1024;
const MAX_QUESTION_BYTES: usize = 4096;
/// A TCP client that says nothing is sent away.
const IDLE: Duration = Duration::from_secs(10);

/// The DNS server, bound but not serving yet.
pub(crate) struct DnsServer {
    udp: UdpSocket,
    tcp: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    names: watch::Receiver<ClusterNames>,
    upstream: Upstream,
    questions: Arc<Semaphore>,
}

impl DnsServer {
    /// Binds in the network namespace of the calling thread.
    pub(crate) async fn bind(
        address: SocketAddr,
        names: watch::Receiver<ClusterNames>,
        host: HostNetwork,
    ) -> io::Result<Self> {
        let udp = UdpSocket::bind(address).await?;
        let tcp = TcpListener::bind(udp.local_addr()?).await?;
        let shared = Shared {
            names,
            upstream: Upstream::new(host),
            questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
        };
        Ok(Self { udp, tcp, shared: Arc::new(shared) })
    }

    /// Serves until it is aborted.
    pub(crate) async fn run(self) {
        tokio::join!(serve_udp(Arc::new(self.udp), self.shared.clone()), serve_tcp(self.tcp, self.shared));
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; MAX_QUESTION_BYTES];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(permit) = shared.questions.clone().try_acquire_owned() else { continue };
        let bytes = buffer[..length].to_vec();
        let Some(question) = answer::parse(&bytes) else { continue };
        // Answered at once when nobody else has to be asked.
        let verdict = answer::decide(&question, &shared.names.borrow());
        if let Verdict::Answer(message) = verdict {
            if let Some(bytes) = dns_message::udp_bytes(&message, &question) {
                let _ = socket.send_to(&bytes, client).await;
            }
            continue;
        }
        let (socket, shared) = (socket.clone(), shared.clone());
        tokio::spawn(async move {
            let _permit = permit;
            if let Some(answer) = shared.ask(&bytes, &question, false).await {
                let _ = socket.send_to(&answer, client).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = shared.questions.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // A client that hangs up is the normal end.
            let _ = serve_connection(stream, &shared).await;
        });
    }
}

async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    while let Ok(Some(bytes)) = timeout(IDLE, read_framed(&mut stream)).await.unwrap_or(Ok(None)) {
        let Some(question) = answer::parse(&bytes) else { return Ok(()) };
        match shared.ask(&bytes, &question, true).await {
            Some(answer) => write_framed(&mut stream, &answer).await?,
            None => return Ok(()),
        }
    }
    Ok(())
}

impl Shared {
    /// The bytes of the answer. A server that does not answer is a failure, never an absent name.
    async fn ask(&self, bytes: &[u8], question: &Message, tcp: bool) -> Option<Vec<u8>> {
        let failed = || dns_message::refusal(question, ResponseCode::ServFail).to_vec().ok();
        let verdict = answer::decide(question, &self.names.borrow());
        match verdict {
            Verdict::Ignore => None,
            Verdict::Answer(message) if tcp => message.to_vec().ok(),
            Verdict::Answer(message) => dns_message::udp_bytes(&message, question),
            Verdict::Forward => self.forward(bytes, tcp).await.or_else(failed),
            Verdict::Follow(message, target) => match self.follow(*message, &target, question).await {
                Some(message) if tcp => message.to_vec().ok(),
                Some(message) => dns_message::udp_bytes(&message, question),
                None => failed(),
            },
        }
    }

    async fn forward(&self, bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
        if tcp { self.upstream.ask_tcp(bytes).await } else { self.upstream.ask_udp(bytes).await }
    }

    /// Adds what the outside says about the target of an alias.
    async fn follow(&self, mut message: Message, target: &Name, question: &Message) -> Option<Message> {
        let kind = question.queries.first()?.query_type();
        let asked = answer::question_about(target, kind, question.metadata.id).to_vec().ok()?;
        let answer = Message::from_vec(&self.upstream.ask_udp(&asked).await?).ok()?;
        message.metadata.response_code = answer.metadata.response_code;
        message.add_answers(answer.answers.iter().cloned());
        Some(message)
    }
}
