//! What is accepted and has no effect yet, patches of EnvoyFilters among it.

use sagene_model::not_yet_effective::{self, NotYetEffective};
use sagene_model::{Kind, Snapshot};

use super::envoy_filter;

/// Everything in the snapshot that has no effect yet.
pub fn not_yet_effective(snapshot: &Snapshot) -> Vec<NotYetEffective> {
    let mut found = not_yet_effective::find(snapshot);
    for object in snapshot.envoy_filters.iter() {
        found.extend(envoy_filter::problems(&object.spec).into_iter().map(|problem| NotYetEffective {
            kind: Kind::EnvoyFilter,
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone(),
            field: problem.field,
            what: problem.reason,
            generation: object.metadata.generation,
        }));
    }
    found.sort();
    found
}
