//! The parts of a Pod that the node agent acts on. Unknown fields are left to the API server.

mod container;
mod probe;
mod volume;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use container::{Container, EnvFromSource, EnvVarSource, LifecycleHandler, VolumeMount};
pub(crate) use probe::{ExecAction, HttpGetAction, PortReference, Probe};
pub(crate) use volume::{
    ClaimVolume, ConfigMapVolume, DownwardItem, HostPathVolume, KeyToPath, ProjectedSource, SecretVolume,
    TokenSource, Volume,
};

/// `spec` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) restart_policy: RestartPolicy,
    termination_grace_period_seconds: Option<i64>,
    pub(crate) active_deadline_seconds: Option<u64>,
    pub(crate) service_account_name: String,
    pub(crate) host_network: bool,
    #[serde(rename = "hostPID")]
    pub(crate) host_pid: bool,
    #[serde(rename = "hostIPC")]
    pub(crate) host_ipc: bool,
    pub(crate) share_process_namespace: bool,
    pub(crate) host_aliases: Vec<HostAlias>,
    pub(crate) hostname: String,
    pub(crate) subdomain: String,
    pub(crate) dns_policy: String,
    pub(crate) dns_config: DnsConfig,
    pub(crate) security_context: PodSecurityContext,
    pub(crate) enable_service_links: Option<bool>,
    /// Why the object's spec is not this one, which is empty then.
    #[serde(skip)]
    unreadable: Option<String>,
}

/// What becomes of a container that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum RestartPolicy {
    #[default]
    Always,
    OnFailure,
    Never,
}

/// An entry for `/etc/hosts`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HostAlias {
    pub(crate) ip: String,
    pub(crate) hostnames: Vec<String>,
}

/// `spec.dnsConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DnsConfig {
    pub(crate) nameservers: Vec<String>,
    pub(crate) searches: Vec<String>,
    pub(crate) options: Vec<DnsOption>,
}

/// One option of the resolver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DnsOption {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// `spec.securityContext`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSecurityContext {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) fs_group: Option<u32>,
    pub(crate) supplemental_groups: Vec<u32>,
    pub(crate) sysctls: Vec<Sysctl>,
}

/// A kernel setting of the pod's namespaces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sysctl {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl PodSpec {
    /// Reads `spec` of a Pod object. One that cannot be read is [unsupported](Self::unsupported): the pod is there all the same, and has
    /// to be told of and to go one day.
    pub(crate) fn of(pod: &Value) -> Self {
        Self::deserialize(&pod["spec"]).unwrap_or_else(|error| Self {
            unreadable: Some(format!("the spec of the pod cannot be read: {error}")),
            ..Self::default()
        })
    }

    /// The time that its processes have to end; a negative one means a second, as in Kubernetes.
    pub(crate) fn grace(&self) -> Duration {
        let seconds = self.termination_grace_period_seconds.unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
    }

    /// Why this machine cannot run the pod as it is written, whatever else happens.
    pub(crate) fn unsupported(&self) -> Option<&str> {
        if let Some(reason) = &self.unreadable {
            return Some(reason);
        }
        if self.share_process_namespace {
            return Some(
                "shareProcessNamespace is not supported by the embedded cluster: containers see their own processes only",
            );
        }
        if self.host_pid || self.host_ipc {
            return Some("hostPID and hostIPC are not supported by the embedded cluster");
        }
        let claims = |volume: &Volume| volume.unsupported_kind();
        self.volumes.iter().find_map(claims)
    }
}
