//! The namespaces and the addresses that a pod's containers share.

use std::sync::Arc;

use super::{NodeServices, PodContext};
use crate::network::{Addresses, NetworkError, PodLink, PodNamespaces};

/// Kept until every container has ended.
pub(crate) struct Sandbox {
    namespaces: PodNamespaces,
    link: std::sync::Mutex<Option<PodLink>>,
    addresses: Addresses,
}

impl Sandbox {
    /// Makes it.
    pub(crate) async fn create(pod: &PodContext) -> Result<Self, NetworkError> {
        let host_name = if pod.spec.hostname.is_empty() { &pod.name } else { &pod.spec.hostname };
        // The kernel's limit for host names; Kubernetes cuts there too.
        let host_name = host_name.get(..63).unwrap_or(host_name).trim_end_matches('-').to_owned();
        let own_network = !pod.spec.host_network;
        let sysctls = pod.spec.security_context.sysctls.clone();
        let namespaces = tokio::task::spawn_blocking(move || {
            let settings = sysctls.iter().map(|setting| (setting.name.as_str(), setting.value.as_str()));
            PodNamespaces::create(&host_name, own_network, settings)
        });
        let namespaces = namespaces.await.map_err(|error| NetworkError::System {
            action: "make the pod's namespaces".to_owned(),
            source: std::io::Error::other(error),
        })??;
        let Some(network) = namespaces.network() else {
            let addresses = pod.node.network.node_addresses();
            return Ok(Self { namespaces, link: std::sync::Mutex::new(None), addresses });
        };
        let link = PodLink::attach(&pod.node.network, network).await?;
        let addresses = link.addresses();
        if let Err(error) = pod.node.services.add_pod(addresses).await {
            link.remove().await;
            return Err(error);
        }
        Ok(Self { namespaces, link: std::sync::Mutex::new(Some(link)), addresses })
    }

    pub(crate) fn namespaces(&self) -> &PodNamespaces {
        &self.namespaces
    }

    /// The pod's addresses; the node's for pods in the node's network.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Gives the interface and the addresses back.
    pub(crate) async fn remove(self: Arc<Self>, node: &NodeServices) {
        let link = self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(link) = link {
            node.services.remove_pod(self.addresses).await;
            link.remove().await;
        }
    }
}
