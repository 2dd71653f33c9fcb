//! One open stream, in either dialect.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Streaming,
    client::Grpc,
    metadata::{MetadataKey, MetadataValue},
    transport::Channel,
};
use tonic_prost::ProstCodec;

use super::{Answer, ClientOptions, Pending, Subscription, TypeState, Update, connection::StreamError};

/// What differs between delta and state of the world.
pub(super) trait Dialect: Send + Sized + 'static {
    type Request: prost::Message + Default + Send + Sync + 'static;
    type Response: prost::Message + Default + Send + Sync + 'static;
    /// Path of the gRPC method.
    const METHOD: &'static str;

    /// The first request for a type on a stream.
    fn initial(type_url: &str, state: &TypeState) -> Option<Self::Request>;
    /// The request that changes a subscription from `before`.
    fn changed(type_url: &str, state: &TypeState, before: &Subscription) -> Self::Request;
    /// ACK or NACK.
    fn answer(state: &TypeState, answer: &Answer) -> Self::Request;
    /// Sets the node of the first request.
    fn set_node(request: &mut Self::Request, node: Node);
    /// Splits a response.
    fn update(response: Self::Response, types: &BTreeMap<String, TypeState>, stream: u64) -> Update;
}

pub(super) struct Stream<D: Dialect> {
    requests: mpsc::UnboundedSender<D::Request>,
    responses: Option<Streaming<D::Response>>,
    opening: Option<Opening<D>>,
    /// The node, until the first request carries it.
    first: Option<Box<Node>>,
    number: u64,
}

type Opening<D> =
    futures::future::BoxFuture<'static, Result<Streaming<<D as Dialect>::Response>, tonic::Status>>;

impl<D: Dialect> Stream<D> {
    pub(super) async fn open(
        channel: Channel,
        options: &ClientOptions,
        number: u64,
    ) -> Result<Self, StreamError> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut request = tonic::Request::new(UnboundedReceiverStream::new(receiver));
        for (name, value) in options.metadata.metadata().await.map_err(StreamError::Credentials)? {
            let wrong = || StreamError::Metadata(name.clone());
            let key = MetadataKey::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = MetadataValue::try_from(value).map_err(|_| wrong())?;
            request.metadata_mut().insert(key, value);
        }
        let limit = options.max_message_size;
        // Servers answer with headers only after the first message, so opening is awaited together with the first response.
        let opening: Opening<D> = Box::pin(async move {
            let mut grpc = Grpc::new(channel).max_decoding_message_size(limit);
            grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<D::Request, D::Response>::default();
            let path = http::uri::PathAndQuery::from_static(D::METHOD);
            Ok(grpc.streaming(request, path, codec).await?.into_inner())
        });
        let first = Some(Box::new(options.node.clone()));
        Ok(Self { requests, responses: None, opening: Some(opening), first, number })
    }

    pub(super) fn request(&mut self, type_url: &str, state: &mut TypeState) -> Result<(), StreamError> {
        match D::initial(type_url, state) {
            Some(request) => {
                state.requested = true;
                self.send(request)
            }
            None => Ok(()),
        }
    }

    pub(super) fn change(
        &mut self,
        type_url: &str,
        state: &mut TypeState,
        before: Subscription,
    ) -> Result<(), StreamError> {
        if state.requested {
            self.send(D::changed(type_url, state, &before))
        } else {
            self.request(type_url, state)
        }
    }

    pub(super) fn answer(&mut self, state: &mut TypeState, answer: &Answer) -> Result<(), StreamError> {
        state.settle(answer);
        if answer.stream != self.number {
            return Ok(());
        }
        if answer.error.is_none() {
            state.last_version.clone_from(&answer.version);
        }
        let request = D::answer(state, answer);
        self.send(request)
    }

    fn send(&mut self, mut request: D::Request) -> Result<(), StreamError> {
        if let Some(node) = self.first.take() {
            D::set_node(&mut request, *node);
        }
        self.requests.send(request).map_err(|_| StreamError::Closed)
    }

    /// The next response. Safe to cancel.
    pub(super) async fn receive(&mut self) -> Result<D::Response, StreamError> {
        if let Some(opening) = &mut self.opening {
            self.responses = Some(opening.await?);
            self.opening = None;
        }
        match &mut self.responses {
            Some(responses) => responses.message().await?.ok_or(StreamError::Closed),
            None => Err(StreamError::Closed),
        }
    }

    /// Records a response as pending; `None` for a type nobody asked for any more.
    pub(super) fn deliver(
        &mut self,
        response: D::Response,
        types: &mut BTreeMap<String, TypeState>,
    ) -> Option<Update> {
        let update = D::update(response, types, self.number);
        let state = types.get_mut(&update.type_url)?;
        state.last_nonce.clone_from(&update.nonce);
        let pending = Pending {
            upserts: update
                .upserts
                .iter()
                .map(|(name, version, _)| (name.clone(), version.clone()))
                .collect(),
            removed: update.removed.clone(),
        };
        state.pending.insert(update.nonce.clone(), pending);
        Some(update)
    }
}
