//! The mutual TLS that a server demands.
//!
//! Workload policies beat namespace policies beat the root namespace's; within one scope the oldest wins; `UNSET` asks the next scope; in
//! the end the mode is PERMISSIVE. A policy with a selector in the root namespace is ignored (Istio's rule for this kind alone).

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::security::PeerAuthentication;
use sagene_api::istio::security::peer_authentication::MutualTlsMode;

use crate::labels::{Labels, has_all};
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// The effective mode of a workload's ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MutualTls {
    /// Mode of ports that have none of their own.
    pub workload: Mode,
    /// Modes by workload port.
    pub ports: std::collections::BTreeMap<u16, Mode>,
}

/// A mode, with nothing left unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Plaintext only.
    Disable,
    /// Both.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

impl MutualTls {
    /// The mode of a workload's port.
    pub fn of_port(&self, port: u16) -> Mode {
        self.ports.get(&port).copied().unwrap_or(self.workload)
    }
}

type Policy = Arc<Object<PeerAuthentication>>;

/// The effective mode of a workload with these labels.
pub fn effective(snapshot: &Snapshot, mesh: &Mesh, namespace: &str, labels: &Labels) -> MutualTls {
    let has_selector = |policy: &Policy| {
        policy.spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty())
    };
    let oldest = |namespace: &str, wanted: &dyn Fn(&Policy) -> bool| {
        let policies = snapshot.peer_authentications.in_namespace(namespace).filter(|policy| wanted(policy));
        policies
            .min_by_key(|policy| (policy.metadata.creation_timestamp, policy.metadata.name.clone()))
            .cloned()
    };
    let selects = |policy: &Policy| {
        has_selector(policy)
            && policy.spec.selector.as_ref().is_some_and(|selector| has_all(labels, &selector.match_labels))
    };
    let of_mesh = oldest(&mesh.root_namespace, &|policy| !has_selector(policy));
    let is_root = namespace == mesh.root_namespace;
    let of_namespace = if is_root { None } else { oldest(namespace, &|policy| !has_selector(policy)) };
    let of_workload = if is_root { None } else { oldest(namespace, &selects) };

    let mode = |policy: &Option<Policy>| {
        let declared = policy
            .as_ref()
            .and_then(|policy| policy.spec.mtls.as_ref())
            .map_or(MutualTlsMode::Unset, |mtls| mtls.mode);
        resolve(declared)
    };
    let workload = mode(&of_workload)
        .or_else(|| mode(&of_namespace))
        .or_else(|| mode(&of_mesh))
        .unwrap_or(Mode::Permissive);
    let declared_ports = of_workload.iter().flat_map(|policy| &policy.spec.port_level_mtls);
    let ports = declared_ports
        .filter_map(|(port, mtls)| Some((u16::try_from(*port).ok()?, resolve(mtls.mode)?)))
        .collect();
    MutualTls { workload, ports }
}

fn resolve(mode: MutualTlsMode) -> Option<Mode> {
    match mode {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(Mode::Disable),
        MutualTlsMode::Permissive => Some(Mode::Permissive),
        MutualTlsMode::Strict => Some(Mode::Strict),
    }
}
