//! The client of the aggregated discovery service: keeps one stream to a control plane, whatever happens to it.
//!
//! [`Client::spawn`] starts a task and returns a handle and the stream of [`Event`]s. Subscriptions may change at any time, connected or
//! not. Every [`Update`] must be answered by [`Client::accept`] or [`Client::reject`]; what was accepted is remembered by name and version,
//! so that after a reconnect a delta server sends only what changed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use envoy_types::pb::{envoy::config::core::v3::Node, google::protobuf::Any};
use futures::future::BoxFuture;
use sagene_base::{backoff::BackoffPolicy, connect::Connect, task};
use tokio::sync::mpsc;

mod connection;
mod delta;
mod sotw;
mod stream;

/// Which of the two protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `DeltaAggregatedResources`.
    #[default]
    Delta,
    /// `StreamAggregatedResources`.
    StateOfTheWorld,
}

/// Where and as whom to connect.
pub struct ClientOptions {
    /// The node sent with the first request of each stream.
    pub node: Node,
    /// `:authority` of the requests, such as `istiod.istio-system.svc:15012`.
    pub authority: String,
    /// Delta unless said otherwise.
    pub protocol: Protocol,
    /// Pauses between attempts. Default 100 ms doubling up to 30 s.
    pub backoff: BackoffPolicy,
    /// Largest accepted response in bytes. Default 64 MiB.
    pub max_message_size: usize,
    /// Called for each stream: metadata such as `authorization`.
    pub metadata: Arc<dyn RequestMetadata>,
}

impl ClientOptions {
    /// Defaults, without credentials.
    pub fn new(node: Node, authority: impl Into<String>) -> Self {
        Self {
            node,
            authority: authority.into(),
            protocol: Protocol::default(),
            backoff: BackoffPolicy::default(),
            max_message_size: 64 << 20,
            metadata: Arc::new(NoMetadata),
        }
    }
}

/// Supplies gRPC metadata for each new stream.
pub trait RequestMetadata: Send + Sync + 'static {
    /// Lower-case ASCII names with their values; a token is read anew each time.
    fn metadata(&self) -> BoxFuture<'_, std::io::Result<Vec<(String, String)>>>;
}

/// No metadata at all.
#[derive(Debug, Clone, Copy)]
pub struct NoMetadata;

impl RequestMetadata for NoMetadata {
    fn metadata(&self) -> BoxFuture<'_, std::io::Result<Vec<(String, String)>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// What is asked for of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Everything the server has for this node.
    Wildcard,
    /// These names; none means unsubscribed.
    Names(BTreeSet<String>),
}

/// A change of resources of one type.
#[derive(Debug, Clone)]
pub struct Update {
    /// Type of every resource in it.
    pub type_url: String,
    /// Added or changed: name, version, resource.
    pub upserts: Vec<(String, String, Any)>,
    /// Gone.
    pub removed: Vec<String>,
    /// Which response this was; hand the update back to accept or reject it.
    pub nonce: String,
    /// `system_version_info` or `version_info` of the response.
    pub version: String,
    stream: u64,
}

/// What the client reports.
#[derive(Debug)]
pub enum Event {
    /// A stream is open and the subscriptions are sent.
    Connected,
    /// The stream ended, or could not be opened; the client tries again by itself. Everything delivered stays valid.
    Disconnected {
        /// Why, for people.
        reason: String,
    },
    /// Resources changed.
    Update(Update),
}

/// Handle to a running client; cheap to clone. The client ends when the last handle or the receiver of events is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
}

/// The events of one client, in order.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when every [`Client`] handle is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Client {
    /// Starts a client on the current runtime.
    pub fn spawn(options: ClientOptions, connector: Arc<dyn Connect>) -> (Self, Events) {
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let (events, receiver) = mpsc::channel(16);
        let worker = connection::Worker::new(options, connector, command_receiver, events);
        // Ends by itself when the handles are gone.
        drop(task::spawn("xds client", worker.run()));
        (Self { commands }, Events { receiver })
    }

    /// Replaces the subscription of a type. Asking for what is subscribed already sends nothing.
    pub fn subscribe(&self, type_url: &str, subscription: Subscription) {
        self.send(Command::Subscribe(type_url.to_owned(), subscription));
    }

    /// The update is in force.
    pub fn accept(&self, update: &Update) {
        self.send(Command::Answer(Answer::of(update, None, Vec::new())));
    }

    /// The update is not in force, or only in parts: `rejected` names the resources whose last version stays. The server sees
    /// `message`.
    pub fn reject(&self, update: &Update, message: impl Into<String>, rejected: Vec<String>) {
        self.send(Command::Answer(Answer::of(update, Some(message.into()), rejected)));
    }

    fn send(&self, command: Command) {
        // A client that has ended needs no commands.
        let _ = self.commands.send(command);
    }
}

#[derive(Debug)]
enum Command {
    Subscribe(String, Subscription),
    Answer(Answer),
}

/// The caller's verdict about one update.
#[derive(Debug)]
struct Answer {
    type_url: String,
    nonce: String,
    version: String,
    stream: u64,
    error: Option<String>,
    rejected: Vec<String>,
}

impl Answer {
    fn of(update: &Update, error: Option<String>, rejected: Vec<String>) -> Self {
        Self {
            type_url: update.type_url.clone(),
            nonce: update.nonce.clone(),
            version: update.version.clone(),
            stream: update.stream,
            error,
            rejected,
        }
    }
}

/// One type's subscription and what is known of it, kept over reconnects.
#[derive(Debug)]
struct TypeState {
    subscription: Subscription,
    /// Name to version of every resource that was accepted.
    accepted: BTreeMap<String, String>,
    /// Updates delivered but not answered, by nonce.
    pending: BTreeMap<String, Pending>,
    last_nonce: String,
    last_version: String,
    /// Whether this stream has asked for the type.
    requested: bool,
}

#[derive(Debug, Default)]
struct Pending {
    upserts: Vec<(String, String)>,
    removed: Vec<String>,
}

impl TypeState {
    fn new(subscription: Subscription) -> Self {
        Self {
            subscription,
            accepted: BTreeMap::new(),
            pending: BTreeMap::new(),
            last_nonce: String::new(),
            last_version: String::new(),
            requested: false,
        }
    }

    /// Nonces belong to a stream; what was not answered on the old one is sent again.
    fn forget_stream(&mut self) {
        self.pending.clear();
        self.last_nonce.clear();
        self.requested = false;
    }

    fn settle(&mut self, answer: &Answer) {
        let Some(pending) = self.pending.remove(&answer.nonce) else { return };
        if answer.error.is_some() && answer.rejected.is_empty() {
            return;
        }
        for (name, version) in pending.upserts {
            if !answer.rejected.contains(&name) {
                self.accepted.insert(name, version);
            }
        }
        for name in pending.removed {
            self.accepted.remove(&name);
        }
    }
}

/// Pause after which a connection without any traffic is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);
