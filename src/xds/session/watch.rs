//! One type's subscription on one stream: what is wanted, what was sent, what came of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use super::{Forced, Need, Requested, Source, TypeRules, refused::Refused};
use crate::{Resource, ResourceSet};

/// Subscribes to everything in delta requests.
pub(super) const WILDCARD: &str = "*";

/// Added and changed resources, and removed names.
type Difference = (Vec<Arc<Resource>>, Vec<Arc<str>>);

/// Where a subscription stands, for people and debug views.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchStatus {
    /// Nonce of the last response; empty before the first.
    pub nonce_sent: String,
    /// Nonce of the last response the client took; empty before the first.
    pub nonce_acked: String,
    /// Nonce of the last response the client rejected.
    pub nonce_nacked: String,
    /// Version of the last response.
    pub version_sent: String,
    /// What the client says of what it refuses of all that it was sent; nothing once other content was sent in its place.
    pub refused: Option<String>,
    /// Whether everything is watched.
    pub wildcard: bool,
    /// The names that are watched.
    pub names: Arc<[Arc<str>]>,
    /// Number of resources the client was sent.
    pub resources: usize,
}

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) wildcard: bool,
    /// Sorted; shared between peers that watch the same.
    pub(super) names: Arc<[Arc<str>]>,
    /// Hash of the names as the last request listed them: most requests repeat it.
    pub(super) listed: u64,
    pub(super) sent: Sent,
    pub(super) nonce_sent: String,
    pub(super) nonce_acked: String,
    pub(super) nonce_nacked: String,
    pub(super) version_sent: String,
    pub(super) refused: Refused,
    pub(super) always_respond: bool,
}

/// What the client has.
#[derive(Debug)]
pub(super) enum Sent {
    Nothing,
    /// What a reconnecting client says it has: name to version.
    Reported(BTreeMap<Arc<str>, u64>),
    Set(Arc<ResourceSet>),
}

impl Sent {
    /// Versions that are none of ours count as outdated.
    pub(super) fn reported(versions: &HashMap<String, String>) -> Self {
        let parse = |version: &String| u64::from_str_radix(version, 16).unwrap_or_default();
        Self::Reported(
            versions.iter().map(|(name, version)| (name.as_str().into(), parse(version))).collect(),
        )
    }

    pub(super) fn version_of(&self, name: &str) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Reported(versions) => versions.get(name).copied(),
            Self::Set(set) => set.get(name).map(|resource| resource.version),
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Reported(versions) => versions.keys().cloned().collect(),
            Self::Set(set) => set.resources.iter().map(|resource| resource.name.clone()).collect(),
        }
    }

    pub(super) fn version(&self) -> String {
        match self {
            Self::Set(set) => format!("{:016x}", set.version),
            _ => String::new(),
        }
    }
}

impl Watch {
    pub(super) fn new(wildcard: bool, names: Arc<[Arc<str>]>) -> Self {
        Self {
            wildcard,
            names,
            listed: 0,
            sent: Sent::Nothing,
            nonce_sent: String::new(),
            nonce_acked: String::new(),
            nonce_nacked: String::new(),
            version_sent: String::new(),
            refused: Refused::default(),
            always_respond: false,
        }
    }

    /// State of the world: the whole new subscription. The added names, if it changed.
    pub(super) fn replace_names(
        &mut self,
        wildcard: bool,
        names: Arc<[Arc<str>]>,
    ) -> Option<BTreeSet<Arc<str>>> {
        if self.wildcard == wildcard && (Arc::ptr_eq(&self.names, &names) || self.names == names) {
            return None;
        }
        let added = names.iter().filter(|name| self.names.binary_search(name).is_err()).cloned().collect();
        (self.wildcard, self.names) = (wildcard, names);
        Some(added)
    }

    pub(super) fn unsubscribe(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        self.wildcard &= !names.iter().any(|name| name == WILDCARD);
        let gone: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        self.names = intern(self.names.iter().map(|name| &**name).filter(|name| !gone.contains(name)));
        if !self.wildcard {
            self.forget(|name| !gone.contains(name));
        }
    }

    fn forget(&mut self, keep: impl Fn(&str) -> bool) {
        match &mut self.sent {
            Sent::Nothing => {}
            Sent::Reported(versions) => versions.retain(|name, _| keep(name)),
            Sent::Set(set) => {
                let kept = set.resources.iter().filter(|resource| keep(&resource.name)).cloned().collect();
                *set = ResourceSet::new(kept);
            }
        }
    }

    /// What a subscription to more names makes due; a name that is watched already is sent again.
    pub(super) fn subscribe(&mut self, names: &[String], rules: TypeRules) -> Option<Forced> {
        if names.is_empty() {
            return None;
        }
        if rules.wildcard && names.iter().any(|name| name == WILDCARD) && !self.wildcard {
            self.wildcard = true;
            return Some(Forced::All);
        }
        let added: BTreeSet<Arc<str>> =
            names.iter().filter(|name| *name != WILDCARD).map(|name| name.as_str().into()).collect();
        if added.is_empty() {
            return None;
        }
        let both = self.names.iter().chain(&added).map(|name| &**name);
        self.names = intern(both);
        Some(Forced::Names(added))
    }

    /// Nothing is watched any more.
    pub(super) fn is_over(&self) -> bool {
        !self.wildcard && self.names.is_empty()
    }

    /// What to tell a delta client, if anything.
    pub(super) fn delta(
        &mut self,
        type_url: &str,
        need: &Need,
        rules: TypeRules,
        source: &impl Source,
    ) -> Option<Difference> {
        let (resources, removed) = match self.partial(need) {
            Some(names) => self.delta_of(type_url, need, &names, source),
            None => self.delta_of_all(type_url, need, source),
        };
        let removed = if rules.removals { removed } else { Vec::new() };
        (need.answer || !resources.is_empty() || !removed.is_empty()).then_some((resources, removed))
    }

    /// The names to look at, where that is enough: watched by name, known to be the only candidates, and nothing guessed about what
    /// the client has.
    fn partial(&self, need: &Need) -> Option<Vec<Arc<str>>> {
        let changed = need.changed.as_ref()?;
        if self.wildcard || matches!(self.sent, Sent::Reported(_)) {
            return None;
        }
        Some(changed.iter().filter(|name| self.names.binary_search(name).is_ok()).cloned().collect())
    }

    fn delta_of(
        &mut self,
        type_url: &str,
        need: &Need,
        names: &[Arc<str>],
        source: &impl Source,
    ) -> Difference {
        let now = source.fetch(type_url, Requested::Names(names));
        let changed = self.newer(&now, need);
        let gone = names
            .iter()
            .filter(|name| now.get(name).is_none())
            .filter(|name| need.forces(name) || self.sent.version_of(name).is_some())
            .cloned()
            .collect();
        let before = match &self.sent {
            Sent::Set(set) => set.clone(),
            _ => Arc::default(),
        };
        self.sent = Sent::Set(before.patched_shared(names, &now));
        (changed, gone)
    }

    fn delta_of_all(&mut self, type_url: &str, need: &Need, source: &impl Source) -> Difference {
        let now = source.fetch(type_url, self.requested());
        if let (Sent::Set(before), None) = (&self.sent, &need.forced)
            && (Arc::ptr_eq(before, &now) || before.version == now.version)
        {
            return Difference::default();
        }
        let changed = self.newer(&now, need);
        let mut gone: BTreeSet<Arc<str>> = self.sent.names().into_iter().collect();
        if let Some(Forced::Names(names)) = &need.forced {
            gone.extend(names.iter().cloned());
        }
        gone.retain(|name| now.get(name).is_none());
        self.sent = Sent::Set(now);
        (changed, gone.into_iter().collect())
    }

    /// What to tell a state-of-the-world client, if anything.
    pub(super) fn state_of_the_world(
        &mut self,
        type_url: &str,
        need: &Need,
        source: &impl Source,
    ) -> Option<Difference> {
        if !self.wildcard
            && let Some(names) = self.partial(need)
        {
            let (changed, _) = self.delta_of(type_url, need, &names, source);
            return (need.answer || !changed.is_empty()).then_some((changed, Vec::new()));
        }
        let now = source.fetch(type_url, self.requested());
        let same = matches!(&self.sent, Sent::Set(before) if before.version == now.version);
        if same && !need.answer {
            return None;
        }
        // Wildcard types carry the whole state; of the others each resource stands for itself.
        let resources = if self.wildcard { now.resources.clone() } else { self.newer(&now, need) };
        self.sent = Sent::Set(now);
        (need.answer || self.wildcard || !resources.is_empty()).then_some((resources, Vec::new()))
    }

    fn newer(&self, now: &ResourceSet, need: &Need) -> Vec<Arc<Resource>> {
        let changed = |resource: &&Arc<Resource>| {
            need.forces(&resource.name) || self.sent.version_of(&resource.name) != Some(resource.version)
        };
        now.resources.iter().filter(changed).cloned().collect()
    }

    fn requested(&self) -> Requested<'_> {
        if self.wildcard { Requested::All } else { Requested::Names(&self.names) }
    }

    /// The client took or rejected the last response; so did it where there was none.
    pub(super) fn is_answered(&self) -> bool {
        self.nonce_sent == self.nonce_acked || self.nonce_sent == self.nonce_nacked
    }

    pub(super) fn status(&self) -> WatchStatus {
        WatchStatus {
            nonce_sent: self.nonce_sent.clone(),
            nonce_acked: self.nonce_acked.clone(),
            nonce_nacked: self.nonce_nacked.clone(),
            version_sent: self.version_sent.clone(),
            refused: self.refused.words(&self.sent, &self.nonce_sent),
            wildcard: self.wildcard,
            names: self.names.clone(),
            resources: match &self.sent {
                Sent::Set(set) => set.resources.len(),
                _ => 0,
            },
        }
    }
}

/// Sorted names, each once, shared with every peer that watches the same: hundreds of sidecars watch the same thousand clusters.
pub(super) fn intern<'a>(names: impl Iterator<Item = &'a str>) -> Arc<[Arc<str>]> {
    type Table = HashMap<u64, Vec<Weak<[Arc<str>]>>>;
    static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
    let sorted: BTreeSet<&str> = names.collect();
    if sorted.is_empty() {
        return Arc::default();
    }
    let key = {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        sorted.hash(&mut hasher);
        hasher.finish()
    };
    let mut table = TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let same = |known: &Arc<[Arc<str>]>| known.iter().map(|name| &**name).eq(sorted.iter().copied());
    let bucket = table.entry(key).or_default();
    bucket.retain(|known| known.strong_count() > 0);
    if let Some(known) = bucket.iter().filter_map(Weak::upgrade).find(same) {
        return known;
    }
    let fresh: Arc<[Arc<str>]> = sorted.into_iter().map(Arc::from).collect();
    bucket.push(Arc::downgrade(&fresh));
    if table.len() > 1024 {
        table.retain(|_, bucket| bucket.iter().any(|known| known.strong_count() > 0));
    }
    fresh
}
