//! What workload a pod belongs to: the owner a human would name, not the ReplicaSet in between.

use serde_json::Value;

/// The controller behind a pod, as telemetry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `apps/v1`, `batch/v1`, `v1` …
    pub api_version: String,
    /// `Deployment`, `StatefulSet`, `CronJob`, `Pod` …
    pub kind: String,
    /// Its name; empty for a pod that is still nameless.
    pub name: String,
}

impl Workload {
    /// Reads the owner of a pod the way istiod does: only a pod with a generated name is traced to its controller; a ReplicaSet
    /// with the pod's template hash stands for its Deployment, a Job with a schedule stamp for its CronJob.
    #[must_use]
    pub fn of(pod: &Value) -> Self {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let plain =
            Self { api_version: "v1".into(), kind: "Pod".into(), name: text("/metadata/name").into() };
        if text("/metadata/generateName").is_empty() {
            return plain;
        }
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let Some(controller) = owners
            .into_iter()
            .flatten()
            .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
        else {
            return plain;
        };
        let field = |key: &str| controller.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = Self { api_version: field("apiVersion"), kind: field("kind"), name: field("name") };
        owner.lifted(
            text("/metadata/labels/rollouts-pod-template-hash"),
            text("/metadata/labels/pod-template-hash"),
        )
    }

    fn lifted(self, rollout_hash: &str, template_hash: &str) -> Self {
        if self.kind == "ReplicaSet" {
            if let Some(name) = without_suffix(&self.name, rollout_hash) {
                return Self { api_version: "argoproj.io/v1alpha1".into(), kind: "Rollout".into(), name };
            }
            if let Some(name) = without_suffix(&self.name, template_hash) {
                return Self { kind: "Deployment".into(), name, ..self };
            }
        }
        if self.kind == "Job"
            && let Some((name, stamp)) = self.name.rsplit_once('-')
            && (8..=10).contains(&stamp.len())
            && stamp.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Self { kind: "CronJob".into(), name: name.to_owned(), api_version: self.api_version };
        }
        self
    }

    /// `ISTIO_META_OWNER`: `kubernetes://apis/apps/v1/namespaces/<ns>/deployments/<name>`.
    #[must_use]
    pub fn owner_url(&self, namespace: &str) -> String {
        let kind = self.kind.to_lowercase();
        format!("kubernetes://apis/{}/namespaces/{namespace}/{kind}s/{}", self.api_version, self.name)
    }
}

fn without_suffix(name: &str, hash: &str) -> Option<String> {
    if hash.is_empty() {
        return None;
    }
    name.strip_suffix(hash)?.strip_suffix('-').map(str::to_owned)
}
