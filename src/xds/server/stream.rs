//! The task of one stream: requests and wake-ups in, responses out, one at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use envoy_types::pb::envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryRequest};
use http::request::Parts;
use prost::{DecodeError, Message};
use sagene_base::backoff::random_fraction;
use tonic::Status;
use tracing::debug;

use super::{
    Connection, Connections, Handler, Limits,
    body::{Outgoing, Sender},
    requests::{RequestBody, Requests},
};
use crate::{
    DiscoveryRequest, ResourceSet,
    session::{Protocol, Requested, Session, Source, TypeRules, Verdict},
};

/// How long a client may take to say who it is.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

pub(super) struct Worker<H: Handler> {
    pub(super) handler: Arc<H>,
    pub(super) connections: Connections<H::Peer>,
    pub(super) limits: Limits,
    pub(super) parts: Parts,
    pub(super) protocol: Protocol,
    pub(super) responses: Sender,
}

/// A request of either protocol.
pub(super) trait AnyRequest: Sized + Send + Sync + 'static {
    fn read(encoded: Bytes) -> Result<Self, DecodeError>;
    fn node(&mut self) -> Option<Node>;
    fn type_url(&self) -> &str;
    fn names(&self) -> Vec<String>;
    fn nonce(&self) -> &str;
    fn apply(&self, session: &mut Session, rules: TypeRules) -> Verdict;
}

impl AnyRequest for DiscoveryRequest {
    fn read(encoded: Bytes) -> Result<Self, DecodeError> {
        Self::read(encoded)
    }
    fn node(&mut self) -> Option<Node> {
        self.node.take()
    }
    fn type_url(&self) -> &str {
        &self.type_url
    }
    fn names(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }
    fn nonce(&self) -> &str {
        &self.response_nonce
    }
    fn apply(&self, session: &mut Session, rules: TypeRules) -> Verdict {
        session.on_request(self, rules)
    }
}

impl AnyRequest for DeltaDiscoveryRequest {
    fn read(encoded: Bytes) -> Result<Self, DecodeError> {
        Self::decode(encoded)
    }
    fn node(&mut self) -> Option<Node> {
        self.node.take()
    }
    fn type_url(&self) -> &str {
        &self.type_url
    }
    fn names(&self) -> Vec<String> {
        self.resource_names_subscribe.clone()
    }
    fn nonce(&self) -> &str {
        &self.response_nonce
    }
    fn apply(&self, session: &mut Session, rules: TypeRules) -> Verdict {
        session.on_delta_request(self, rules)
    }
}

impl<H: Handler> Worker<H> {
    pub(super) async fn run<R: AnyRequest, B: RequestBody>(self, mut requests: Requests<R, B>) {
        let status = match self.admit(&mut requests).await {
            Ok((connection, first)) => {
                self.connections.add(connection.clone());
                let _registered = Registered { connections: &self.connections, id: &connection.id };
                // The client may go at any point, and its streams with it; then nobody reads responses any more.
                tokio::select! {
                    end = self.serve(&connection, first, &mut requests) => end.err(),
                    () = self.responses.closed() => return,
                }
            }
            Err(status) => Some(status),
        };
        let status = status.unwrap_or_else(|| Status::ok(""));
        // The client may be gone; then nobody reads the status.
        let _ = self.responses.send(Outgoing::End(status)).await;
    }

    async fn admit<R: AnyRequest, B: RequestBody>(
        &self,
        requests: &mut Requests<R, B>,
    ) -> Result<(Arc<Connection<H::Peer>>, R), Status> {
        let first = tokio::time::timeout(FIRST_REQUEST, requests.message()).await;
        let mut first = first
            .map_err(|_| Status::deadline_exceeded("no discovery request came"))??
            .ok_or_else(|| Status::invalid_argument("the stream ended before its first request"))?;
        let node = first.node().filter(|node| !node.id.is_empty());
        let node = node.ok_or_else(|| Status::invalid_argument("the first request must carry node.id"))?;
        let peer = self.handler.admit(&self.parts, &node).await?;
        let id = format!("{}-{}", node.id, self.connections.next_number());
        let mut connection = Connection::new(id, peer, node, self.protocol);
        connection.remote = self.parts.extensions.get::<RemoteAddress>().map(|remote| remote.0);
        Ok((Arc::new(connection), first))
    }

    async fn serve<R: AnyRequest, B: RequestBody>(
        &self,
        connection: &Arc<Connection<H::Peer>>,
        first: R,
        requests: &mut Requests<R, B>,
    ) -> Result<(), Status> {
        let tag = format!("{:x}", fresh_tag());
        let mut session = Session::new(self.protocol, tag);
        let source = PeerSource { handler: &*self.handler, peer: &connection.peer };
        self.on_request(connection, &mut session, &first).await?;
        let age = self.limits.max_age.mul_f64(0.9 + 0.2 * random_fraction());
        let end_of_life = tokio::time::sleep(age);
        tokio::pin!(end_of_life);
        loop {
            connection.settle(session.is_settled());
            tokio::select! {
                biased;
                request = requests.message() => match request? {
                    Some(request) => self.on_request(connection, &mut session, &request).await?,
                    None => return Ok(()),
                },
                push = connection.woken() => session.push(&push),
                room = self.responses.reserve(), if session.has_work() => {
                    let Ok(room) = room else { return Ok(()) };
                    let started = Instant::now();
                    if let Some(response) = session.next_response(&source) {
                        self.handler.sent(connection, &response, started.elapsed());
                        let now = SystemTime::now();
                        connection.record(session.statuses(), |type_url, status| {
                            if type_url == response.type_url { status.sent_at = Some(now) }
                        });
                        room.send(Outgoing::Response(Box::new(response)));
                    }
                }
                () = connection.closed() => return Ok(()),
                () = &mut end_of_life => {
                    debug!(connection = %connection.id, "stream is old, client shall connect again");
                    return Ok(());
                }
            }
        }
    }

    async fn on_request<R: AnyRequest>(
        &self,
        connection: &Arc<Connection<H::Peer>>,
        session: &mut Session,
        request: &R,
    ) -> Result<(), Status> {
        let type_url = request.type_url();
        if type_url.is_empty() {
            return Err(Status::invalid_argument("type_url is missing"));
        }
        let Some(rules) = self.handler.rules(type_url) else {
            return self.on_question(connection, request).await;
        };
        let verdict = request.apply(session, rules);
        self.handler.noted(connection, type_url, &verdict);
        let now = SystemTime::now();
        connection.record(session.statuses(), |watched, status| {
            if watched == type_url && verdict == Verdict::Ack {
                status.acked_at = Some(now);
            }
        });
        Ok(())
    }

    /// A type that is no subscription; an ACK of the answer needs no answer.
    async fn on_question<R: AnyRequest>(
        &self,
        connection: &Arc<Connection<H::Peer>>,
        request: &R,
    ) -> Result<(), Status> {
        if !request.nonce().is_empty() {
            return Ok(());
        }
        let type_url = request.type_url();
        let Some(resources) = self.handler.answer(connection, type_url, &request.names()).await? else {
            return Ok(());
        };
        let nonce = format!("{:x}", fresh_tag());
        let answer =
            Outgoing::Answer { type_url: type_url.to_owned(), nonce, resources, protocol: self.protocol };
        self.responses.send(answer).await.map_err(|_| Status::cancelled("the client is gone"))
    }
}

/// Address of the client, put into the request's extensions by whoever accepts connections.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAddress(pub std::net::SocketAddr);

struct PeerSource<'a, H: Handler> {
    handler: &'a H,
    peer: &'a H::Peer,
}

impl<H: Handler> Source for PeerSource<'_, H> {
    fn rules(&self, type_url: &str) -> TypeRules {
        self.handler.rules(type_url).unwrap_or_default()
    }

    fn fetch(&self, type_url: &str, requested: Requested<'_>) -> Arc<ResourceSet> {
        self.handler.fetch(self.peer, type_url, requested)
    }
}

/// Takes the connection off the list however its task ends.
struct Registered<'a, P> {
    connections: &'a Connections<P>,
    id: &'a str,
}

impl<P> Drop for Registered<'_, P> {
    fn drop(&mut self) {
        self.connections.remove(self.id);
    }
}

fn fresh_tag() -> u64 {
    (random_fraction() * (1_u64 << 48) as f64) as u64
}
