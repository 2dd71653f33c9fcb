//! Keeps the kernel's rules equal to the wanted Services, changing only what differs.

use std::net::Ipv4Addr;

use nlink::{Connection, Nftables};
use tokio::sync::Mutex;

use super::service_rules::{self, Frontends};
use super::{NetworkError, SERVICE_NETWORK};

/// The Services' rules in the node's network namespace.
pub(crate) struct ServiceProxy {
    connection: Connection<Nftables>,
    /// What the kernel has.
    installed: Mutex<Frontends>,
}

impl ServiceProxy {
    /// Writes the table without Services. Must run in the node's network namespace.
    pub(crate) async fn create() -> Result<Self, NetworkError> {
        let connection =
            Connection::<Nftables>::new().map_err(NetworkError::netlink("open a netlink socket"))?;
        let needs = || NetworkError::needs("nf_tables", "nf_tables", "write the Services' rules");
        let transaction = service_rules::base(connection.transaction()).map_err(needs())?;
        transaction.commit(&connection).await.map_err(needs())?;
        Ok(Self { connection, installed: Mutex::new(Frontends::new()) })
    }

    /// Makes the rules those of `wanted`, in one step. On an error the kernel keeps what it had.
    pub(crate) async fn apply(&self, wanted: Frontends) -> Result<(), NetworkError> {
        let mut installed = self.installed.lock().await;
        let refused = || NetworkError::netlink("change the Services' rules");
        let changes = service_rules::difference(self.connection.transaction(), &installed, &wanted)
            .map_err(refused())?;
        if let Some(transaction) = changes {
            transaction.commit(&self.connection).await.map_err(refused())?;
            *installed = wanted;
        }
        Ok(())
    }

    /// Lets a pod reach itself through Services.
    pub(crate) async fn add_pod(&self, pod: Ipv4Addr) -> Result<(), NetworkError> {
        let transaction = self.connection.transaction();
        let transaction =
            transaction.add_set_elements(&service_rules::hairpin(), &service_rules::hairpin_elements(pod));
        transaction.commit(&self.connection).await.map_err(NetworkError::netlink("let a pod reach itself"))
    }

    /// Undoes [`Self::add_pod`].
    pub(crate) async fn remove_pod(&self, pod: Ipv4Addr) {
        let transaction = self.connection.transaction();
        let transaction =
            transaction.del_set_elements(&service_rules::hairpin(), &service_rules::hairpin_elements(pod));
        if let Err(error) = transaction.commit(&self.connection).await {
            tracing::debug!(%pod, %error, "the pod's hairpin rule was gone");
        }
    }

    /// Sends TCP connections that pods make to the outside to the relay on `port`.
    pub(crate) async fn redirect_egress(&self, port: u16) -> Result<(), NetworkError> {
        let transaction = service_rules::egress(self.connection.transaction(), port, SERVICE_NETWORK);
        transaction
            .commit(&self.connection)
            .await
            .map_err(NetworkError::netlink("redirect what leaves the cluster"))
    }
}
