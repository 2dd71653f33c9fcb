//! Events about one pod, in the name of the kubelet.

use serde_json::{Value, json};

use crate::api_client::ResourceRef;
pub(crate) use crate::events::EventKind;
use crate::events::{Event, EventRecorder};

/// Tells about one pod.
#[derive(Clone)]
pub(crate) struct PodEvents {
    recorder: EventRecorder,
    /// Its name, namespace and uid.
    pod: Value,
}

impl PodEvents {
    pub(crate) fn new(recorder: EventRecorder, pod: &Value) -> Self {
        let metadata = &pod["metadata"];
        let pod = json!({"metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
        }});
        Self { recorder, pod }
    }

    /// An event about the whole pod.
    pub(crate) fn pod(&self, kind: EventKind, reason: &str, message: &str) {
        self.recorder.record("kubelet", &ResourceRef::PODS, &self.pod, Event::new(kind, reason, message));
    }

    /// An event about one of its containers.
    pub(crate) fn container(&self, kind: EventKind, reason: &str, message: &str, container: &str) {
        let mut event = Event::new(kind, reason, message);
        event.field = Some(format!("spec.containers{{{container}}}"));
        self.recorder.record("kubelet", &ResourceRef::PODS, &self.pod, event);
    }
}
