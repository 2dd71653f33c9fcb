//! Events about pods, with repeated ones counted instead of written again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::NODE_NAME;
use crate::api_client::{ApiClient, ResourceRef};

/// Different events remembered for counting; the oldest knowledge is dropped beyond.
const MAX_REMEMBERED: usize = 4096;

/// Type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    Normal,
    Warning,
}

type Key = (String, String, String, String);

/// Writes events, without making anybody wait for it.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    api: ApiClient,
    known: Arc<Mutex<HashMap<Key, (String, u32)>>>,
}

/// Events about one pod.
#[derive(Clone)]
pub(crate) struct PodEvents {
    recorder: EventRecorder,
    namespace: String,
    reference: Value,
}

impl EventRecorder {
    pub(crate) fn new(api: ApiClient) -> Self {
        Self { api, known: Arc::default() }
    }

    /// For the pod.
    pub(crate) fn about(&self, pod: &Value) -> PodEvents {
        let metadata = &pod["metadata"];
        let reference = json!({
            "apiVersion": "v1", "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
        });
        let namespace = metadata["namespace"].as_str().unwrap_or("default").to_owned();
        PodEvents { recorder: self.clone(), namespace, reference }
    }

    /// Name of the event and how often it was seen with this time.
    fn count(&self, key: Key) -> (String, u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        let pod = key.0.rsplit('/').next().unwrap_or("").to_owned();
        let entry = known.entry(key).or_insert_with(|| {
            let unique = Timestamp::now().as_nanosecond();
            (format!("{pod}.{unique:x}"), 0)
        });
        entry.1 += 1;
        entry.clone()
    }
}

impl PodEvents {
    /// An event about the whole pod.
    pub(crate) fn pod(&self, kind: EventKind, reason: &str, message: &str) {
        self.write(kind, reason, message, None);
    }

    /// An event about one of its containers.
    pub(crate) fn container(&self, kind: EventKind, reason: &str, message: &str, container: &str) {
        self.write(kind, reason, message, Some(format!("spec.containers{{{container}}}")));
    }

    fn write(&self, kind: EventKind, reason: &str, message: &str, field: Option<String>) {
        let pod = format!(
            "{}/{}/{}",
            self.namespace,
            self.reference["uid"],
            self.reference["name"].as_str().unwrap_or("")
        );
        let key = (pod, field.clone().unwrap_or_default(), reason.to_owned(), message.to_owned());
        let (name, count) = self.recorder.count(key);
        let now = format!("{:.0}", Timestamp::now());
        let mut reference = self.reference.clone();
        if let Some(field) = field {
            reference["fieldPath"] = json!(field);
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": self.namespace},
            "involvedObject": reference,
            "type": match kind { EventKind::Normal => "Normal", EventKind::Warning => "Warning" },
            "reason": reason, "message": message,
            "source": {"component": "kubelet", "host": NODE_NAME},
            "reportingComponent": "kubelet", "reportingInstance": NODE_NAME,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let (api, namespace) = (self.recorder.api.clone(), self.namespace.clone());
        sagene_base::task::spawn("event", async move {
            let written = if count == 1 {
                api.create(&ResourceRef::EVENTS, &namespace, event).await
            } else {
                let patch = json!({"count": count, "lastTimestamp": now});
                api.merge_patch(&ResourceRef::EVENTS, &namespace, &name, "", patch).await
            };
            if let Err(error) = written {
                tracing::debug!(%error, "an event was not written");
            }
        });
    }
}
