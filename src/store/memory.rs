//! A source without I/O: objects handed in as values, for command lines that read files and for tests.

use sagene_model::Kind;
use serde_json::Value;
use thiserror::Error;

use crate::{
    Store,
    state::{Candidate, Writer},
};

/// A value that is no object this store holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} ({api_version}) is not a kind the mesh reads")]
pub struct UnknownKind {
    /// `kind` as written.
    pub kind: String,
    /// `apiVersion` as written.
    pub api_version: String,
}

/// Fills a store by hand.
#[derive(Debug)]
pub struct Memory {
    writer: Writer,
}

impl Memory {
    /// A source for `store`; use one per store.
    pub fn new(store: &Store) -> Self {
        Self { writer: Writer::new(store.shared.clone()) }
    }

    /// Takes in an object. One that cannot be read is recorded in [`Store::rejected`].
    pub fn apply(&mut self, object: Value) -> Result<(), UnknownKind> {
        self.visit(object, false)
    }

    /// Takes out an object, given by its kind, namespace and name.
    pub fn delete(&mut self, object: Value) -> Result<(), UnknownKind> {
        self.visit(object, true)
    }

    /// Makes everything so far visible at once.
    pub fn publish(&mut self) {
        self.writer.publish();
    }

    fn visit(&mut self, object: Value, delete: bool) -> Result<(), UnknownKind> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        let Some(known) = Kind::by_name(&api_version, &kind) else {
            return Err(UnknownKind { kind, api_version });
        };
        let candidate = Candidate::read(known, object);
        if delete {
            self.writer.delete(known, &candidate.namespace, &candidate.name);
        } else {
            self.writer.apply(candidate);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn virtual_service(spec: Value) -> Value {
        json!({
            "apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService",
            "metadata": {"namespace": "shop", "name": "cart"}, "spec": spec,
        })
    }

    #[tokio::test]
    async fn a_malformed_object_keeps_its_last_good_version_and_a_delete_always_applies() {
        let store = Store::new();
        let mut feed = store.subscribe();
        let mut memory = Memory::new(&store);
        memory.apply(virtual_service(json!({"hosts": ["a"]}))).unwrap();
        memory.publish();
        assert_eq!(feed.changed().await.kinds(), [Kind::VirtualService].into());
        memory.apply(virtual_service(json!({"hosts": 7}))).unwrap();
        memory.publish();
        // Its status has to be told; what is in effect stays.
        let told = feed.take();
        assert!(!told.is_empty() && !told.has_content());
        let snapshot = store.snapshot();
        assert_eq!(snapshot.virtual_services.get("shop", "cart").unwrap().spec.hosts, ["a"]);
        let rejected = store.rejected();
        assert!(rejected[0].last_good && rejected[0].message.contains("hosts"), "{rejected:?}");
        memory.delete(virtual_service(json!({"hosts": 7}))).unwrap();
        memory.publish();
        assert!(store.snapshot().virtual_services.is_empty() && store.rejected().is_empty());
    }
}
