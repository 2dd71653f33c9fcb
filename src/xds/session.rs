//! The server's side of one stream as a state machine: requests in, responses out, no I/O and no clock.
//!
//! Rules (Istio's, where the protocol leaves room): a NACK is recorded and not answered; a stale nonce changes nothing; a new or
//! repeated subscription is always answered; of named types only what changed is sent, and what is unchanged by content is not sent
//! at all. After clusters were sent, their endpoints are sent again even if they did not change, because a client that warms a cluster
//! waits for them without end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::{DiscoveryRequest, Resource, ResourceSet, resource::hash_of, type_url};

mod need;
mod refused;
mod watch;

pub use need::Push;
use need::{Forced, Need};
pub use watch::WatchStatus;
use watch::{Sent, Watch};

/// How a type is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeRules {
    /// Without names everything is meant (CDS, LDS, NDS, PCDS); otherwise no names mean no subscription.
    pub wildcard: bool,
    /// Delta responses name removed resources (all but ECDS).
    pub removals: bool,
}

/// What is asked of the source.
#[derive(Debug, Clone, Copy)]
pub enum Requested<'a> {
    /// Everything the peer may see.
    All,
    /// These names, sorted.
    Names(&'a [Arc<str>]),
}

/// Where resources come from.
pub trait Source {
    /// How the type is subscribed to.
    fn rules(&self, type_url: &str) -> TypeRules;
    /// The resources as they are now. Names without a resource are left out.
    fn fetch(&self, type_url: &str, requested: Requested<'_>) -> Arc<ResourceSet>;
}

/// Which protocol the peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Incremental.
    Delta,
    /// State of the world.
    StateOfTheWorld,
}

/// A response to send.
#[derive(Debug, Clone)]
pub struct Response {
    /// Type of the resources.
    pub type_url: String,
    /// Identifies the response in ACK and NACK.
    pub nonce: String,
    /// Version of the whole.
    pub version: String,
    /// Added and changed resources (state of the world of wildcard types: all of them).
    pub resources: Vec<Arc<Resource>>,
    /// Names of removed resources; delta only.
    pub removed: Vec<Arc<str>>,
    /// Which message it becomes.
    pub protocol: Protocol,
}

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A subscription began or changed.
    Subscribed,
    /// The last response is in force.
    Ack,
    /// The last response was rejected, with the client's words.
    Nack(String),
    /// About an older response; ignored.
    Stale,
    /// Nothing to do.
    Ignored,
}

/// The state of one stream.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    watches: BTreeMap<String, Watch>,
    needs: BTreeMap<(usize, String), Need>,
    responses: u64,
    tag: String,
}

impl Session {
    /// A fresh stream. `tag` makes nonces unique between streams.
    pub fn new(protocol: Protocol, tag: impl Into<String>) -> Self {
        Self { protocol, watches: BTreeMap::new(), needs: BTreeMap::new(), responses: 0, tag: tag.into() }
    }

    /// Takes in a state-of-the-world request.
    pub fn on_request(&mut self, request: &DiscoveryRequest, rules: TypeRules) -> Verdict {
        let type_url = request.type_url.as_str();
        if let Some(error) = &request.error_detail {
            return self.on_nack(type_url, &request.response_nonce, &error.message);
        }
        let listed = hash_of(request.names_as_bytes());
        if let Some(watch) = self.watches.get_mut(type_url)
            && !request.response_nonce.is_empty()
            && request.response_nonce == watch.nonce_sent
            && listed == watch.listed
            && !watch.always_respond
        {
            watch.nonce_acked.clone_from(&watch.nonce_sent);
            return Verdict::Ack;
        }
        let names = watch::intern(request.names());
        let wildcard = rules.wildcard && names.is_empty();
        if !rules.wildcard && names.is_empty() {
            self.drop_watch(type_url);
            return Verdict::Subscribed;
        }
        let Some(watch) = self.watches.get_mut(type_url) else {
            self.watches.insert(type_url.to_owned(), Watch { listed, ..Watch::new(wildcard, names) });
            self.need(type_url).force(Forced::All);
            return Verdict::Subscribed;
        };
        if request.response_nonce.is_empty() {
            // A client that reconnected behind a proxy, or asks again: answer in full.
            (watch.wildcard, watch.names, watch.sent) = (wildcard, names, Sent::Nothing);
            watch.listed = listed;
            self.need(type_url).force(Forced::All);
            return Verdict::Subscribed;
        }
        if request.response_nonce != watch.nonce_sent {
            return Verdict::Stale;
        }
        watch.nonce_acked.clone_from(&watch.nonce_sent);
        watch.listed = listed;
        let always = std::mem::take(&mut watch.always_respond);
        let added = watch.replace_names(wildcard, names);
        match (added, always) {
            (_, true) => self.need(type_url).force(Forced::All),
            (Some(added), false) => self.need(type_url).force(Forced::Names(added)),
            (None, false) => return Verdict::Ack,
        }
        Verdict::Subscribed
    }

    /// Takes in a delta request.
    pub fn on_delta_request(&mut self, request: &DeltaDiscoveryRequest, rules: TypeRules) -> Verdict {
        let type_url = request.type_url.as_str();
        let answered = self.on_delta_answer(request);
        let subscribe = &request.resource_names_subscribe;
        let unsubscribe = &request.resource_names_unsubscribe;
        if !self.watches.contains_key(type_url) {
            return self.first_delta(request, rules).unwrap_or(answered);
        }
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return answered;
        }
        let Some(watch) = self.watches.get_mut(type_url) else { return answered };
        watch.unsubscribe(unsubscribe);
        let added = watch.subscribe(subscribe, rules);
        if watch.is_over() {
            self.drop_watch(type_url);
        } else if let Some(added) = added {
            self.need(type_url).force(added);
        }
        match answered {
            Verdict::Nack(_) => answered,
            _ => Verdict::Subscribed,
        }
    }

    fn on_delta_answer(&mut self, request: &DeltaDiscoveryRequest) -> Verdict {
        if let Some(error) = &request.error_detail {
            return self.on_nack(&request.type_url, &request.response_nonce, &error.message);
        }
        if request.response_nonce.is_empty() {
            return Verdict::Ignored;
        }
        match self.watches.get_mut(&request.type_url) {
            Some(watch) if watch.nonce_sent == request.response_nonce => {
                watch.nonce_acked.clone_from(&watch.nonce_sent);
                Verdict::Ack
            }
            _ => Verdict::Stale,
        }
    }

    /// The first request for a type: a fresh client, or one that reconnects and says what it has.
    fn first_delta(&mut self, request: &DeltaDiscoveryRequest, rules: TypeRules) -> Option<Verdict> {
        let explicit = request.resource_names_subscribe.iter().map(String::as_str);
        let explicit_wildcard = explicit.clone().any(|name| name == watch::WILDCARD);
        let names = explicit.filter(|name| *name != watch::WILDCARD);
        let known = request.initial_resource_versions.keys().map(String::as_str);
        let no_names = request.resource_names_subscribe.is_empty();
        let wildcard = rules.wildcard && (explicit_wildcard || no_names);
        let names = if wildcard {
            watch::intern(names)
        } else {
            watch::intern(names.chain(known.filter(|_| no_names)))
        };
        if !wildcard && names.is_empty() {
            return None;
        }
        let mut watch = Watch::new(wildcard, names);
        if !request.initial_resource_versions.is_empty() {
            watch.sent = Sent::reported(&request.initial_resource_versions);
        }
        self.watches.insert(request.type_url.clone(), watch);
        self.need(&request.type_url).answer();
        Some(Verdict::Subscribed)
    }

    fn on_nack(&mut self, type_url: &str, nonce: &str, message: &str) -> Verdict {
        match self.watches.get_mut(type_url) {
            Some(watch) if watch.nonce_sent == nonce || nonce.is_empty() => {
                watch.nonce_nacked.clone_from(&watch.nonce_sent);
                watch.refused.add(message, &watch.sent, &watch.nonce_sent);
                Verdict::Nack(message.to_owned())
            }
            Some(_) => Verdict::Nack(message.to_owned()),
            None => Verdict::Ignored,
        }
    }

    /// Something may have changed: what is watched and meant by `push` will be looked at.
    pub fn push(&mut self, push: &Push) {
        let watched: Vec<String> =
            self.watches.keys().filter(|type_url| push.concerns(type_url)).cloned().collect();
        for type_url in watched {
            let changed = push.changed(&type_url).cloned();
            self.need(&type_url).push(changed);
        }
    }

    /// Whether [`Session::next_response`] has work.
    pub fn has_work(&self) -> bool {
        !self.needs.is_empty()
    }

    /// Whether everything is said, and the client has taken or rejected all of it.
    pub fn is_settled(&self) -> bool {
        self.needs.is_empty() && self.watches.values().all(Watch::is_answered)
    }

    /// The next response, in push order; `None` when nothing is left to say.
    pub fn next_response(&mut self, source: &impl Source) -> Option<Response> {
        while let Some(((_, type_url), need)) = self.needs.pop_first() {
            if let Some(response) = self.respond(&type_url, need, source) {
                return Some(response);
            }
        }
        None
    }

    fn respond(&mut self, type_url: &str, need: Need, source: &impl Source) -> Option<Response> {
        let rules = source.rules(type_url);
        let watch = self.watches.get_mut(type_url)?;
        let difference = match self.protocol {
            Protocol::Delta => watch.delta(type_url, &need, rules, source),
            Protocol::StateOfTheWorld => watch.state_of_the_world(type_url, &need, source),
        };
        let (resources, removed) = difference?;
        self.responses += 1;
        let nonce = format!("{}-{}", self.tag, self.responses);
        watch.nonce_sent.clone_from(&nonce);
        watch.version_sent = watch.sent.version();
        let version = watch.version_sent.clone();
        if type_url == type_url::CLUSTER {
            self.warm_endpoints(&resources);
        }
        let protocol = self.protocol;
        Some(Response { type_url: type_url.to_owned(), nonce, version, resources, removed, protocol })
    }

    /// See the module text.
    fn warm_endpoints(&mut self, clusters: &[Arc<Resource>]) {
        let Some(endpoints) = self.watches.get_mut(type_url::ENDPOINT) else { return };
        match self.protocol {
            Protocol::StateOfTheWorld => endpoints.always_respond = true,
            Protocol::Delta => {
                let names: BTreeSet<Arc<str>> = clusters
                    .iter()
                    .filter(|cluster| endpoints.names.binary_search(&cluster.name).is_ok())
                    .map(|cluster| cluster.name.clone())
                    .collect();
                if !names.is_empty() {
                    self.need(type_url::ENDPOINT).force(Forced::Names(names));
                }
            }
        }
    }

    /// Where every subscription stands.
    pub fn statuses(&self) -> impl Iterator<Item = (&str, WatchStatus)> {
        self.watches.iter().map(|(type_url, watch)| (type_url.as_str(), watch.status()))
    }

    fn need(&mut self, type_url: &str) -> &mut Need {
        let order = type_url::PUSH_ORDER.iter().position(|known| *known == type_url);
        let key = (order.unwrap_or(type_url::PUSH_ORDER.len()), type_url.to_owned());
        self.needs.entry(key).or_default()
    }

    fn drop_watch(&mut self, type_url: &str) {
        self.watches.remove(type_url);
        self.needs.retain(|(_, wanted), _| wanted != type_url);
    }
}

#[cfg(test)]
mod tests;
