//! Containers of a Pod.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{ExecAction, HttpGetAction, PortReference, Probe};

/// A container or init container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) env_from: Vec<EnvFromSource>,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) volume_mounts: Vec<VolumeMount>,
    pub(crate) security_context: ContainerSecurityContext,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) resources: Resources,
    /// `Always` on an init container makes it a sidecar.
    pub(crate) restart_policy: Option<String>,
    /// Of an ephemeral container: the one whose processes it sees.
    pub(crate) target_container_name: String,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) tty: bool,
    pub(crate) termination_message_path: String,
    pub(crate) termination_message_policy: String,
}

impl Container {
    /// An init container that keeps running beside the others.
    pub(crate) fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// The number behind a port's name or number.
    pub(crate) fn port(&self, reference: &PortReference) -> Option<u16> {
        match reference {
            PortReference::Number(number) => Some(*number),
            PortReference::Name(name) => {
                let named = self.ports.iter().find(|port| port.name == *name).map(|port| port.container_port);
                named.or_else(|| name.parse().ok())
            }
        }
    }
}

/// A port of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub(crate) name: String,
    pub(crate) container_port: u16,
    /// `TCP`, `UDP` or `SCTP`; empty means `TCP`.
    pub(crate) protocol: String,
}

/// One environment variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) value_from: Option<EnvVarSource>,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvVarSource {
    pub(crate) field_ref: Option<FieldReference>,
    pub(crate) resource_field_ref: Option<ResourceFieldReference>,
    pub(crate) config_map_key_ref: Option<KeyReference>,
    pub(crate) secret_key_ref: Option<KeyReference>,
}

/// A field of the pod itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FieldReference {
    pub(crate) field_path: String,
}

/// A resource limit or request of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceFieldReference {
    pub(crate) container_name: String,
    pub(crate) resource: String,
    pub(crate) divisor: String,
}

/// A key of a ConfigMap or Secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct KeyReference {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) optional: bool,
}

/// A whole ConfigMap or Secret as environment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvFromSource {
    pub(crate) prefix: String,
    pub(crate) config_map_ref: Option<NameReference>,
    pub(crate) secret_ref: Option<NameReference>,
}

/// An object in the pod's namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NameReference {
    pub(crate) name: String,
    pub(crate) optional: bool,
}

/// Where a volume appears.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    pub(crate) sub_path: String,
    pub(crate) sub_path_expr: String,
    pub(crate) read_only: bool,
    pub(crate) mount_propagation: Option<String>,
}

/// `securityContext` of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerSecurityContext {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) privileged: bool,
    pub(crate) allow_privilege_escalation: Option<bool>,
    pub(crate) read_only_root_filesystem: bool,
    pub(crate) capabilities: Capabilities,
}

/// Names of capabilities, with or without `CAP_`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    pub(crate) add: Vec<String>,
    pub(crate) drop: Vec<String>,
}

/// Hooks of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lifecycle {
    pub(crate) post_start: Option<LifecycleHandler>,
    pub(crate) pre_stop: Option<LifecycleHandler>,
}

/// What a hook does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LifecycleHandler {
    pub(crate) exec: Option<ExecAction>,
    pub(crate) http_get: Option<HttpGetAction>,
    pub(crate) sleep: Option<SleepAction>,
}

/// A hook that only waits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SleepAction {
    pub(crate) seconds: u64,
}

/// Requests and limits as quantities.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) limits: BTreeMap<String, Value>,
    pub(crate) requests: BTreeMap<String, Value>,
}
