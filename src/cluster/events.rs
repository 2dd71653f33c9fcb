//! Events: what the parts of the cluster tell users about objects, with repeated ones counted instead of written again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api_client::resource::{name_of, namespace_of, uid_of};
use crate::api_client::{ApiClient, ResourceRef};

/// Different events remembered for counting; the oldest knowledge is dropped beyond.
const MAX_REMEMBERED: usize = 4096;
/// How long events are kept after they were last seen, as Kubernetes does.
pub(crate) const EVENT_LIFETIME: std::time::Duration = std::time::Duration::from_secs(3600);

/// Type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    Normal,
    Warning,
}

/// What is told.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The part of the object that is meant: `spec.containers{web}`.
    pub(crate) field: Option<String>,
    /// When it happened; events of one object are listed in this order.
    pub(crate) at: Timestamp,
}

impl Event {
    /// Something expected.
    pub(crate) fn normal(reason: &str, message: impl Into<String>) -> Self {
        Self::new(EventKind::Normal, reason, message)
    }

    /// Something to look at.
    pub(crate) fn warning(reason: &str, message: impl Into<String>) -> Self {
        Self::new(EventKind::Warning, reason, message)
    }

    pub(crate) fn new(kind: EventKind, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, reason: reason.to_owned(), message: message.into(), field: None, at: Timestamp::now() }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    object: String,
    field: Option<String>,
    reason: String,
    message: String,
}

/// Writes events, without making anybody wait for it. Clones share their memory of what was told.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    api: ApiClient,
    known: Arc<Mutex<HashMap<Key, (String, u32)>>>,
}

impl EventRecorder {
    pub(crate) fn new(api: ApiClient) -> Self {
        Self { api, known: Arc::default() }
    }

    /// Tells something about an object in the name of a component (`kubelet`, `deployment-controller`).
    pub(crate) fn record(&self, component: &str, resource: &ResourceRef, object: &Value, event: Event) {
        let namespace = match namespace_of(object) {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let (name, count) = self.count(object, &event);
        let now = format!("{:.0}", event.at);
        let mut reference = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind,
            "namespace": object["metadata"]["namespace"], "name": name_of(object), "uid": uid_of(object),
        });
        if let Some(field) = &event.field {
            reference["fieldPath"] = json!(field);
        }
        let host = (component == "kubelet").then_some(crate::node::NODE_NAME);
        let written = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference,
            "type": match event.kind { EventKind::Normal => "Normal", EventKind::Warning => "Warning" },
            "reason": event.reason, "message": event.message,
            "source": match host { Some(host) => json!({"component": component, "host": host}), None => json!({"component": component}) },
            "reportingComponent": component, "reportingInstance": host.unwrap_or(""),
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let api = self.api.clone();
        sagene_base::task::spawn("event", async move {
            if count > 1 {
                let patch = json!({"count": count, "lastTimestamp": now});
                match api.merge_patch(&ResourceRef::EVENTS, &namespace, &name, "", patch).await {
                    // Its time was over: it begins anew.
                    Err(error) if error.is_not_found() => {}
                    _ => return,
                }
            }
            if let Err(error) = api.create(&ResourceRef::EVENTS, &namespace, written).await {
                tracing::debug!(%error, "an event was not written");
            }
        });
    }

    /// Name of the event and how often it was seen with this time.
    fn count(&self, object: &Value, event: &Event) -> (String, u32) {
        let key = Key {
            object: format!("{}/{}/{}", namespace_of(object), name_of(object), uid_of(object)),
            field: event.field.clone(),
            reason: event.reason.clone(),
            message: event.message.clone(),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        let entry = known.entry(key).or_insert_with(|| {
            let unique = event.at.as_nanosecond();
            (format!("{}.{unique:x}", name_of(object)), 0)
        });
        entry.1 += 1;
        entry.clone()
    }
}
