//! Services and their EndpointSlices as last seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::{Key, Objects};
use crate::api_client::resource::{name_of, namespace_of};

/// Label that names the Service of a slice.
const SERVICE: &str = "kubernetes.io/service-name";

/// The objects as last seen.
#[derive(Default)]
pub(super) struct Seen {
    services: Objects,
    /// By Service.
    slices: BTreeMap<Key, Objects>,
    /// The Service of each slice.
    of_slice: HashMap<Key, Key>,
    /// The Services that are reached from outside of the cluster.
    pub(super) exposed: Objects,
}

impl Seen {
    /// Takes in a Service; whether what is reached from outside may have changed.
    pub(super) fn service(&mut self, service: &Arc<Value>, gone: bool, changed: &mut BTreeSet<Key>) -> bool {
        let key = key_of(service);
        let (kept, exposed) = (!gone, !gone && is_exposed(service));
        changed.insert(key.clone());
        let was_exposed = self.exposed.remove(&key).is_some();
        if exposed {
            self.exposed.insert(key.clone(), service.clone());
        }
        if kept {
            self.services.insert(key, service.clone());
        } else {
            self.services.remove(&key);
        }
        exposed || was_exposed
    }

    /// Takes in a slice.
    pub(super) fn slice(&mut self, slice: &Arc<Value>, gone: bool, changed: &mut BTreeSet<Key>) {
        let key = key_of(slice);
        if let Some(service) = self.of_slice.remove(&key) {
            if let Some(slices) = self.slices.get_mut(&service) {
                slices.remove(&key);
                if slices.is_empty() {
                    self.slices.remove(&service);
                }
            }
            changed.insert(service);
        }
        let service = slice["metadata"]["labels"][SERVICE].as_str().filter(|_| !gone);
        if let Some(service) = service {
            let service = (key.0.clone(), service.to_owned());
            self.slices.entry(service.clone()).or_default().insert(key.clone(), slice.clone());
            self.of_slice.insert(key, service.clone());
            changed.insert(service);
        }
    }

    /// A Service with its slices.
    pub(super) fn find(&self, key: &Key) -> (Option<&Value>, Vec<&Value>) {
        let slices = self.slices.get(key).into_iter().flatten().map(|(_, slice)| slice.as_ref());
        (self.services.get(key).map(AsRef::as_ref), slices.collect())
    }

    /// All Services of which something is known.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.services.keys().chain(self.slices.keys())
    }
}

fn key_of(object: &Value) -> Key {
    (namespace_of(object).to_owned(), name_of(object).to_owned())
}

fn is_exposed(service: &Value) -> bool {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    service["spec"]["type"] == "LoadBalancer" || ports.into_iter().any(|port| !port["nodePort"].is_null())
}
