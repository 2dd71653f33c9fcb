//! The namespaces and the address that a pod's containers share.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{NodeServices, PodContext};
use crate::network::{NODE_ADDRESS, NetworkError, PodLink, PodNamespaces};

/// Kept until every container has ended.
pub(crate) struct Sandbox {
    namespaces: PodNamespaces,
    link: std::sync::Mutex<Option<PodLink>>,
    address: Ipv4Addr,
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
            return Ok(Self { namespaces, link: std::sync::Mutex::new(None), address: NODE_ADDRESS });
        };
        let link = PodLink::attach(&pod.node.network, network).await?;
        let address = link.address();
        pod.node.services.add_pod(address).await?;
        Ok(Self { namespaces, link: std::sync::Mutex::new(Some(link)), address })
    }

    pub(crate) fn namespaces(&self) -> &PodNamespaces {
        &self.namespaces
    }

    /// The pod's address; the node's for pods in the node's network.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Gives the interface and the address back.
    pub(crate) async fn remove(self: Arc<Self>, node: &NodeServices) {
        let link = self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(link) = link {
            node.services.remove_pod(self.address).await;
            link.remove().await;
        }
    }
}
