//! Which namespaces the mesh sees: `discoverySelectors` of the mesh's settings.
//!
//! Source: the reference of MeshConfig. Where there are selectors, whatever is in a namespace that none of them matches is not there for
//! the mesh: Services, their endpoints, pods, and configuration. The namespace of the control plane is no exception.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sagene_api::kubernetes::LabelSelector;

use crate::labels;
use crate::snapshot::{ChangeSet, Snapshot};

/// The namespaces that the mesh sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Discovered {
    /// All of them: there is no selector.
    #[default]
    Everything,
    /// Those that some selector matches.
    Only(BTreeSet<String>),
}

impl Discovered {
    /// Those of a snapshot that some of the selectors matches.
    pub fn of(snapshot: &Snapshot, selectors: &[LabelSelector]) -> Self {
        if selectors.is_empty() {
            return Self::Everything;
        }
        let namespaces = snapshot.namespaces.iter();
        let matched = namespaces.filter(|namespace| {
            selectors.iter().any(|selector| labels::matches(selector, &namespace.metadata.labels))
        });
        Self::Only(matched.map(|namespace| namespace.metadata.name.clone()).collect())
    }

    /// Whether a namespace is among them. Cluster-scoped objects, whose namespace is empty, are always seen.
    pub fn sees(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(names) => namespace.is_empty() || names.contains(namespace),
        }
    }

    /// Takes out of a snapshot what is not seen.
    pub fn narrow(&self, snapshot: &mut Snapshot) {
        if let Self::Only(names) = self {
            snapshot.retain_namespaces(|namespace| names.contains(namespace));
        }
    }

    /// The changes that concern the mesh, which saw `before` until now: those in namespaces that it sees or saw, and all that is in a
    /// namespace that came or went. `snapshot` is what there is, seen or not.
    pub fn changes<'c>(
        &self,
        before: &Self,
        snapshot: &Snapshot,
        changes: &'c ChangeSet,
    ) -> Cow<'c, ChangeSet> {
        if (self, before) == (&Self::Everything, &Self::Everything) {
            return Cow::Borrowed(changes);
        }
        let mut seen = ChangeSet::default();
        for (change, scope) in changes.iter() {
            if self.sees(&change.namespace) || before.sees(&change.namespace) {
                seen.add(change.clone(), scope);
            }
        }
        for namespace in snapshot.occupied() {
            if self.sees(&namespace) != before.sees(&namespace) {
                seen.merge(snapshot.changes_of(&namespace));
            }
        }
        Cow::Owned(seen)
    }
}

#[cfg(test)]
mod tests {
    use sagene_api::Object;
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::{Change, Collected, Kind, Scope};

    fn insert<S: Collected>(snapshot: &mut Snapshot, value: Value) -> Option<(Change, Scope)> {
        snapshot.insert(Object::<S>::from_value(value).expect("an object").into())
    }

    fn namespace(snapshot: &mut Snapshot, name: &str, labels: Value) -> ChangeSet {
        let mut changes = ChangeSet::default();
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        if let Some((change, scope)) = insert::<sagene_api::kubernetes::Namespace>(snapshot, object) {
            changes.add(change, scope);
        }
        changes
    }

    fn service(snapshot: &mut Snapshot, namespace: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}});
        insert::<sagene_api::kubernetes::Service>(snapshot, object);
    }

    fn selectors(value: Value) -> Vec<LabelSelector> {
        serde_json::from_value(value).expect("selectors")
    }

    #[test]
    fn any_selector_is_enough() {
        let mut snapshot = Snapshot::default();
        namespace(&mut snapshot, "a", json!({"mesh": "on"}));
        namespace(&mut snapshot, "b", json!({"env": "prod"}));
        namespace(&mut snapshot, "c", json!({"env": "test"}));
        ["a", "b", "c"].iter().for_each(|name| service(&mut snapshot, name));
        let discovered = Discovered::of(
            &snapshot,
            &selectors(json!([
                {"matchLabels": {"mesh": "on"}},
                {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod"]}]},
            ])),
        );
        assert!(discovered.sees("a") && discovered.sees("b") && discovered.sees("") && !discovered.sees("c"));
        discovered.narrow(&mut snapshot);
        let left: Vec<&str> =
            snapshot.services.iter().map(|service| service.metadata.namespace.as_str()).collect();
        assert_eq!(left, ["a", "b"]);
        assert_eq!(snapshot.namespaces.len(), 3);
        assert!(Discovered::of(&snapshot, &[]).sees("c"));
    }

    #[test]
    fn a_namespace_that_comes_or_goes_brings_or_takes_its_objects() {
        let mut snapshot = Snapshot::default();
        namespace(&mut snapshot, "a", json!({}));
        service(&mut snapshot, "a");
        let selectors = selectors(json!([{"matchLabels": {"mesh": "on"}}]));
        let before = Discovered::of(&snapshot, &selectors);
        let service = Change { kind: Kind::Service, namespace: "a".to_owned(), name: "web".to_owned() };

        let mut of_service = ChangeSet::default();
        of_service.add(service.clone(), Scope::Content);
        assert!(before.changes(&before, &snapshot, &of_service).is_empty());

        let labelled = namespace(&mut snapshot, "a", json!({"mesh": "on"}));
        let after = Discovered::of(&snapshot, &selectors);
        for (now, then) in [(&after, &before), (&before, &after), (&Discovered::Everything, &before)] {
            let changes = now.changes(then, &snapshot, &labelled);
            assert!(changes.contents().any(|change| *change == service), "{changes:?}");
        }
    }
}
