//! Transport of the aggregated discovery service: one task per stream drives a [`Session`](crate::session::Session) and hands its
//! responses, one at a time, to a body that encodes them in small pieces.
//!
//! A response is generated only when the one before has been taken by the connection, so a slow client costs no memory and
//! always gets the newest state (one in flight, latest wins).

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use envoy_types::pb::envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryRequest};
use futures::future::BoxFuture;
use http::{Request, request::Parts};
use tonic::{Status, body::Body};

use crate::{
    DiscoveryRequest, ResourceSet,
    session::{Protocol, Requested, Response, TypeRules, Verdict},
};

mod body;
mod connection;
mod requests;
mod stream;

pub use connection::{Connection, Connections, TypeStatus};
use requests::{RequestBody, Requests};
pub use stream::RemoteAddress;

/// How a control plane fills the protocol with life.
pub trait Handler: Send + Sync + Sized + 'static {
    /// A connected client as the handler sees it.
    type Peer: Send + Sync + 'static;

    /// Decides about a new client by its first request: who it is, and whether that may be.
    fn admit<'a>(&'a self, parts: &'a Parts, node: &'a Node) -> BoxFuture<'a, Result<Self::Peer, Status>>;

    /// How a type is subscribed to. `None`: the type is not a subscription, every request is put to [`Handler::answer`].
    fn rules(&self, type_url: &str) -> Option<TypeRules>;

    /// The resources as they are now.
    fn fetch(&self, peer: &Self::Peer, type_url: &str, requested: Requested<'_>) -> Arc<ResourceSet>;

    /// Answers a single question: encoded `google.protobuf.Any`s; `None` for no response at all.
    fn answer<'a>(
        &'a self,
        connection: &'a Arc<Connection<Self::Peer>>,
        type_url: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Vec<Bytes>>, Status>>;

    /// Told about each request.
    fn noted(&self, connection: &Connection<Self::Peer>, type_url: &str, verdict: &Verdict);

    /// Told about each response that was handed to the connection, with the time it took to generate.
    fn sent(&self, connection: &Connection<Self::Peer>, response: &Response, took: Duration);

    /// `control_plane.identifier` of every response.
    fn identifier(&self) -> &str;
}

/// Limits of the service.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest accepted request in bytes. Default 4 MiB.
    pub max_request: usize,
    /// After about this long a stream is ended so that clients spread over replicas; a tenth of jitter either way.
    /// Default 30 min.
    pub max_age: Duration,
    /// Most streams at a time; more are refused. Default 100 000.
    pub max_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_request: 4 << 20, max_age: Duration::from_secs(30 * 60), max_streams: 100_000 }
    }
}

/// The gRPC service; cheap to clone.
pub struct DiscoveryService<H: Handler> {
    handler: Arc<H>,
    connections: Connections<H::Peer>,
    limits: Limits,
}

impl<H: Handler> Clone for DiscoveryService<H> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), connections: self.connections.clone(), limits: self.limits }
    }
}

impl<H: Handler> std::fmt::Debug for DiscoveryService<H> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DiscoveryService").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<H: Handler> DiscoveryService<H> {
    /// Path under which the methods live, with a trailing slash.
    pub const PREFIX: &'static str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";

    /// A service whose streams register in `connections`.
    pub fn new(handler: Arc<H>, connections: Connections<H::Peer>, limits: Limits) -> Self {
        Self { handler, connections, limits }
    }

    fn open<B: RequestBody>(&self, request: Request<B>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        if self.connections.len() >= self.limits.max_streams {
            return Status::resource_exhausted("too many discovery streams").into_http();
        }
        let protocol = match parts.uri.path().strip_prefix(Self::PREFIX) {
            Some("DeltaAggregatedResources") => Protocol::Delta,
            Some("StreamAggregatedResources") => Protocol::StateOfTheWorld,
            _ => return Status::unimplemented("no such method").into_http(),
        };
        let (sender, body_out) = body::channel(self.handler.identifier().to_owned());
        let worker = stream::Worker {
            handler: self.handler.clone(),
            connections: self.connections.clone(),
            limits: self.limits,
            parts,
            protocol,
            responses: sender,
        };
        let limit = self.limits.max_request;
        let task = match protocol {
            Protocol::Delta => {
                let requests = Requests::<DeltaDiscoveryRequest, B>::new(body, limit);
                sagene_base::task::spawn("discovery stream", worker.run(requests))
            }
            Protocol::StateOfTheWorld => {
                let requests = Requests::<DiscoveryRequest, B>::new(body, limit);
                sagene_base::task::spawn("discovery stream", worker.run(requests))
            }
        };
        // The task ends when the client goes: its request stream ends then.
        drop(task);
        let mut response = http::Response::new(Body::new(body_out));
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        response
    }
}

impl<H: Handler, B: RequestBody> tower::Service<Request<B>> for DiscoveryService<H> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(std::future::ready(Ok(self.open(request))))
    }
}

#[cfg(test)]
mod tests;
