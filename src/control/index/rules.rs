//! DestinationRules as they hold for a client and a service, each merged rule once with an id that caches can use as key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sagene_model::destination_rule::{self, Client, MergedRule};
use sagene_model::{Mesh, Service, Snapshot};

use super::services::lock;

/// A merged rule with its id.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Never 0, and never used twice.
    pub(crate) id: u64,
    pub(crate) merged: MergedRule,
}

/// All merged rules that are in use. Two clients that come to the same objects share one.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    by_sources: Mutex<HashMap<Vec<usize>, Arc<Rule>>>,
    last: AtomicU64,
}

impl Rules {
    /// The rule that holds for `service` when `client` calls it.
    pub(crate) fn select(
        &self,
        snapshot: &Snapshot,
        mesh: &Mesh,
        client: Client<'_>,
        service: &Service,
    ) -> Option<Arc<Rule>> {
        if snapshot.destination_rules.is_empty() {
            return None;
        }
        let merged = destination_rule::select(snapshot, mesh, client, service)?;
        // Objects are kept alive by the rule, so an address means the same object as long as the entry lives.
        let sources: Vec<usize> = merged.sources.iter().map(|source| Arc::as_ptr(source) as usize).collect();
        let mut known = lock(&self.by_sources);
        let rule = known
            .entry(sources)
            .or_insert_with(|| Arc::new(Rule { id: self.last.fetch_add(1, Ordering::Relaxed) + 1, merged }));
        Some(rule.clone())
    }

    /// Forgets rules of objects that are not in `snapshot` any more.
    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        lock(&self.by_sources).retain(|_, rule| {
            rule.merged.sources.iter().all(|source| {
                let metadata = &source.metadata;
                let now = snapshot.destination_rules.get(&metadata.namespace, &metadata.name);
                now.is_some_and(|now| Arc::ptr_eq(now, source))
            })
        });
    }
}
