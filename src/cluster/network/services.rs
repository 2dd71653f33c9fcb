//! Keeps the kernel's rules equal to the wanted Services, changing only what differs.

use std::net::{IpAddr, SocketAddr};

use nlink::netlink::nftables::Family;
use nlink::{Connection, Nftables};
use tokio::sync::Mutex;

use super::pod_rules;
use super::service_rules::{self, Backends, Frontend, Frontends};
use super::{
    Addresses, NODE_ADDRESS, NODE_ADDRESS_V6, NetworkError, POD_PREFIX, POD_PREFIX_V6, SERVICE_NETWORK,
    SERVICE_NETWORK_V6,
};

/// The Services' rules in the node's network namespace.
pub(crate) struct ServiceProxy {
    connection: Connection<Nftables>,
    /// The kernel took the IPv6 rules, too.
    dual_stack: bool,
    /// What the kernel has.
    installed: Mutex<Frontends>,
}

impl ServiceProxy {
    /// Writes the tables without Services. Must run in the node's network namespace. With `dual_stack` IPv6 is translated, too, unless the
    /// kernel cannot.
    pub(crate) async fn create(dual_stack: bool) -> Result<Self, NetworkError> {
        let connection =
            Connection::<Nftables>::new().map_err(NetworkError::netlink("open a netlink socket"))?;
        let needs = || NetworkError::needs("nf_tables", "nf_tables", "write the Services' rules");
        write_base(&connection, Family::Ip).await.map_err(needs())?;
        let dual_stack = dual_stack
            && match write_base(&connection, Family::Ip6).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "Services have IPv4 addresses alone");
                    false
                }
            };
        Ok(Self { connection, dual_stack, installed: Mutex::new(Frontends::new()) })
    }

    /// Whether Services may have IPv6 addresses.
    pub(crate) fn is_dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// Makes these frontends lead where they should; `None` takes one away. All in one step: on an error the kernel keeps what it had.
    pub(crate) async fn apply(
        &self,
        mut wanted: Vec<(Frontend, Option<Backends>)>,
    ) -> Result<(), NetworkError> {
        // A Service keeps the addresses it got while the machine had IPv6.
        wanted.retain(|(frontend, _)| self.dual_stack || frontend.address.is_ipv4());
        let mut installed = self.installed.lock().await;
        let refused = || NetworkError::netlink("change the Services' rules");
        let changes = service_rules::difference(self.connection.transaction(), &installed, &wanted)
            .map_err(refused())?;
        if let Some(transaction) = changes {
            transaction.commit(&self.connection).await.map_err(refused())?;
            for (frontend, backends) in wanted {
                match backends {
                    Some(backends) => drop(installed.insert(frontend, backends)),
                    None => drop(installed.remove(&frontend)),
                }
            }
        }
        Ok(())
    }

    /// Lets a pod be reached, by itself through Services too.
    pub(crate) async fn add_pod(&self, pod: Addresses) -> Result<(), NetworkError> {
        let transaction = pod_rules::elements(pod)
            .fold(self.connection.transaction(), |transaction, (set, elements)| {
                transaction.add_set_elements(&set, &elements)
            });
        transaction.commit(&self.connection).await.map_err(NetworkError::netlink("let a pod be reached"))
    }

    /// Undoes [`Self::add_pod`]: from now on connections to the pod's addresses are refused.
    pub(crate) async fn remove_pod(&self, pod: Addresses) {
        let transaction = pod_rules::elements(pod)
            .fold(self.connection.transaction(), |transaction, (set, elements)| {
                transaction.del_set_elements(&set, &elements)
            });
        if let Err(error) = transaction.commit(&self.connection).await {
            tracing::debug!(pod = %pod.v4, %error, "the pod's rules were gone");
        }
    }

    /// Sends TCP connections that pods make to the outside to the relay at `address` of the node, if they are of its family.
    pub(crate) async fn redirect_egress(&self, address: SocketAddr) -> Result<(), NetworkError> {
        let pods: (IpAddr, u8) = match address {
            SocketAddr::V4(_) => (NODE_ADDRESS.into(), POD_PREFIX),
            SocketAddr::V6(_) => (NODE_ADDRESS_V6.into(), POD_PREFIX_V6),
        };
        let services: (IpAddr, u8) = match address {
            SocketAddr::V4(_) => (SERVICE_NETWORK.0.into(), SERVICE_NETWORK.1),
            SocketAddr::V6(_) => (SERVICE_NETWORK_V6.0.into(), SERVICE_NETWORK_V6.1),
        };
        let transaction = service_rules::egress(self.connection.transaction(), address, [pods, services]);
        transaction
            .commit(&self.connection)
            .await
            .map_err(NetworkError::netlink("redirect what leaves the cluster"))
    }
}

async fn write_base(connection: &Connection<Nftables>, family: Family) -> nlink::Result<()> {
    let transaction = service_rules::base(connection.transaction(), family)?;
    pod_rules::base(transaction, family).commit(connection).await
}
