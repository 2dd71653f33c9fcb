//! What a stream still has to be told, merged until it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Which types may have changed, for every peer alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Push {
    all: bool,
    types: BTreeMap<String, Option<BTreeSet<Arc<str>>>>,
}

impl Push {
    /// Everything may have changed.
    pub fn everything() -> Self {
        Self { all: true, types: BTreeMap::new() }
    }

    /// Any resource of the type may have changed.
    pub fn add_type(&mut self, type_url: &str) {
        self.types.insert(type_url.to_owned(), None);
    }

    /// Only these resources of the type may have changed.
    pub fn add_names(&mut self, type_url: &str, names: impl IntoIterator<Item = Arc<str>>) {
        let entry = self.types.entry(type_url.to_owned()).or_insert_with(|| Some(BTreeSet::new()));
        if let Some(known) = entry {
            known.extend(names);
        }
    }

    /// Takes in another push that has not been sent either.
    pub fn merge(&mut self, other: &Self) {
        self.all |= other.all;
        for (type_url, names) in &other.types {
            match names {
                Some(names) => self.add_names(type_url, names.iter().cloned()),
                None => self.add_type(type_url),
            }
        }
    }

    /// Whether nothing is to be looked at.
    pub fn is_empty(&self) -> bool {
        !self.all && self.types.is_empty()
    }

    pub(super) fn concerns(&self, type_url: &str) -> bool {
        self.all || self.types.contains_key(type_url)
    }

    /// The names that may have changed; `None` for any.
    pub(super) fn changed(&self, type_url: &str) -> Option<&BTreeSet<Arc<str>>> {
        if self.all { None } else { self.types.get(type_url).and_then(Option::as_ref) }
    }
}

/// Resources that are sent whether they changed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forced {
    All,
    Names(BTreeSet<Arc<str>>),
}

/// What is due for one type.
#[derive(Debug, Default)]
pub(super) struct Need {
    /// A response is due even if it is empty.
    pub(super) answer: bool,
    /// Sent in any case.
    pub(super) forced: Option<Forced>,
    /// Only these may have changed; `None` stands for any. Meaningless until `looked` is set.
    pub(super) changed: Option<BTreeSet<Arc<str>>>,
    looked: bool,
}

impl Need {
    pub(super) fn answer(&mut self) {
        self.answer = true;
        self.look_at(None);
    }

    pub(super) fn force(&mut self, forced: Forced) {
        self.answer = true;
        match &forced {
            Forced::All => self.look_at(None),
            Forced::Names(names) => self.look_at(Some(names.clone())),
        }
        self.forced = Some(match (self.forced.take(), forced) {
            (Some(Forced::Names(mut known)), Forced::Names(names)) => {
                known.extend(names);
                Forced::Names(known)
            }
            (Some(Forced::All), _) | (_, Forced::All) => Forced::All,
            (None, forced) => forced,
        });
    }

    pub(super) fn push(&mut self, changed: Option<BTreeSet<Arc<str>>>) {
        self.look_at(changed);
    }

    fn look_at(&mut self, changed: Option<BTreeSet<Arc<str>>>) {
        self.changed = match (self.looked, self.changed.take(), changed) {
            (false, _, changed) => changed,
            (true, Some(mut known), Some(changed)) => {
                known.extend(changed);
                Some(known)
            }
            (true, ..) => None,
        };
        self.looked = true;
    }

    pub(super) fn forces(&self, name: &Arc<str>) -> bool {
        match &self.forced {
            Some(Forced::All) => true,
            Some(Forced::Names(names)) => names.contains(name),
            None => false,
        }
    }
}
