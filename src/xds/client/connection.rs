//! The life of the client: connect, talk until the stream ends, wait, connect again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use sagene_base::{
    backoff::Backoff,
    connect::{BoxedStream, Connect},
    task::error_chain,
};
use thiserror::Error;
use tokio::{sync::mpsc, time::Instant};
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, info};

use super::{
    ClientOptions, Command, Event, KEEPALIVE, Protocol, Subscription, TypeState, delta::Delta,
    sotw::StateOfTheWorld, stream::Stream,
};

/// A stream that lasted this long counts as a success: the next attempt waits the shortest delay.
const STABLE: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub(super) enum StreamError {
    #[error("cannot connect")]
    Connect(#[source] tonic::transport::Error),
    #[error("{0:?} is no valid authority")]
    Authority(String),
    #[error("cannot read the credentials")]
    Credentials(#[source] std::io::Error),
    #[error("credential {0:?} is not valid in a header")]
    Metadata(String),
    #[error("{code:?}: {message}")]
    Status { code: tonic::Code, message: String },
    #[error("the server closed the stream")]
    Closed,
    #[error("no handle to this client is left")]
    NoHandle,
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> Self {
        Self::Status { code: status.code(), message: status.message().to_owned() }
    }
}

pub(super) struct Worker {
    pub(super) options: ClientOptions,
    connector: Arc<dyn Connect>,
    commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
    types: BTreeMap<String, TypeState>,
    streams: u64,
}

impl Worker {
    pub(super) fn new(
        options: ClientOptions,
        connector: Arc<dyn Connect>,
        commands: mpsc::UnboundedReceiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self { options, connector, commands, events, types: BTreeMap::new(), streams: 0 }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.options.backoff);
        loop {
            let started = Instant::now();
            let reason = match self.stream().await {
                Ok(()) | Err(StreamError::NoHandle) => return,
                Err(error) => error_chain(&error),
            };
            if started.elapsed() >= STABLE {
                backoff.reset();
            }
            info!(authority = %self.options.authority, %reason, "discovery stream ended");
            if self.events.send(Event::Disconnected { reason }).await.is_err() {
                return;
            }
            let pause = tokio::time::sleep(backoff.next_delay());
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    command = self.commands.recv() => match command {
                        Some(command) => self.note(command),
                        None => return,
                    },
                }
            }
        }
    }

    /// Takes in a command while there is no stream.
    fn note(&mut self, command: Command) {
        match command {
            Command::Subscribe(type_url, subscription) => {
                set_subscription(&mut self.types, &type_url, subscription);
            }
            Command::Answer(answer) => {
                if let Some(state) = self.types.get_mut(&answer.type_url) {
                    state.settle(&answer);
                }
            }
        }
    }

    async fn stream(&mut self) -> Result<(), StreamError> {
        self.streams += 1;
        self.types.values_mut().for_each(TypeState::forget_stream);
        let channel = self.channel().await?;
        match self.options.protocol {
            Protocol::Delta => {
                let stream = Stream::<Delta>::open(channel, &self.options, self.streams).await?;
                self.talk(stream).await
            }
            Protocol::StateOfTheWorld => {
                let stream = Stream::<StateOfTheWorld>::open(channel, &self.options, self.streams).await?;
                self.talk(stream).await
            }
        }
    }

    async fn talk<P: super::stream::Dialect>(&mut self, mut stream: Stream<P>) -> Result<(), StreamError> {
        for (type_url, state) in &mut self.types {
            stream.request(type_url, state)?;
        }
        debug!(authority = %self.options.authority, "discovery stream open");
        self.emit(Event::Connected).await?;
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => return Ok(()),
                    Some(Command::Subscribe(type_url, subscription)) => {
                        let changed = set_subscription(&mut self.types, &type_url, subscription);
                        if let (Some(before), Some(state)) = (changed, self.types.get_mut(&type_url)) {
                            stream.change(&type_url, state, before)?;
                        }
                    }
                    Some(Command::Answer(answer)) => {
                        if let Some(state) = self.types.get_mut(&answer.type_url) {
                            stream.answer(state, &answer)?;
                        }
                    }
                },
                response = stream.receive() => {
                    let update = stream.deliver(response?, &mut self.types);
                    if let Some(update) = update {
                        self.emit(Event::Update(update)).await?;
                    }
                }
            }
        }
    }

    async fn emit(&self, event: Event) -> Result<(), StreamError> {
        self.events.send(event).await.map_err(|_| StreamError::NoHandle)
    }

    async fn channel(&self) -> Result<Channel, StreamError> {
        let authority = &self.options.authority;
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .map_err(|_| StreamError::Authority(authority.clone()))?
            .connect_timeout(Duration::from_secs(20))
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        let connector = self.connector.clone();
        let service = tower::service_fn(move |_: http::Uri| {
            let connector = connector.clone();
            async move { connector.connect().await.map(TokioIo::<BoxedStream>::new) }
        });
        endpoint.connect_with_connector(service).await.map_err(StreamError::Connect)
    }
}

/// Stores a subscription; the old one if it differs.
fn set_subscription(
    types: &mut BTreeMap<String, TypeState>,
    type_url: &str,
    subscription: Subscription,
) -> Option<Subscription> {
    match types.get_mut(type_url) {
        None => {
            types.insert(type_url.to_owned(), TypeState::new(subscription));
            Some(Subscription::Names(Default::default()))
        }
        Some(state) if state.subscription == subscription => None,
        Some(state) => {
            if let Subscription::Names(names) = &subscription {
                state.accepted.retain(|name, _| names.contains(name));
            }
            Some(std::mem::replace(&mut state.subscription, subscription))
        }
    }
}
