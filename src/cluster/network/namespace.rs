//! A pod's namespaces: network, host name and inter-process communication, kept alive by open files.

use std::fs::File;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};
use nlink::netlink::namespace::Netns;

use super::{NetworkError, sysctl};

/// What the containers of one pod share. Dropping it lets the kernel remove the namespaces once their last process has ended.
#[derive(Debug)]
pub(crate) struct PodNamespaces {
    /// `None` for pods in the node's own network (`hostNetwork: true`).
    network: Option<Arc<Netns>>,
    host_name: File,
    communication: File,
}

impl PodNamespaces {
    /// Makes them; `own_network` is false for pods in the node's network. `sysctls` are the pod's own kernel settings.
    pub(crate) fn create<'a>(
        host_name: &str,
        own_network: bool,
        sysctls: impl Iterator<Item = (&'a str, &'a str)> + Send,
    ) -> Result<Self, NetworkError> {
        // A thread of its own: namespaces belong to threads, and this one ends with the function.
        std::thread::scope(|scope| {
            let made = std::thread::Builder::new()
                .spawn_scoped(scope, || Self::create_here(host_name, own_network, sysctls))
                .map_err(NetworkError::system("start a thread for the pod's namespaces"))?;
            made.join().unwrap_or_else(|_| {
                let source = std::io::Error::other("the thread ended early");
                Err(NetworkError::System { action: "make the pod's namespaces".to_owned(), source })
            })
        })
    }

    fn create_here<'a>(
        host_name: &str,
        own_network: bool,
        sysctls: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, NetworkError> {
        let mut flags = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
        if own_network {
            flags |= CloneFlags::CLONE_NEWNET;
        }
        unshare(flags).map_err(NetworkError::system("make the pod's namespaces"))?;
        nix::unistd::sethostname(host_name).map_err(NetworkError::system("set the pod's host name"))?;
        let mut network = None;
        if own_network {
            // Containers may use every port without being root, as with container runtimes.
            sysctl::try_set("net/ipv4/ip_unprivileged_port_start", "0");
            sysctl::try_set("net/ipv4/ping_group_range", "0 0");
            // For the interface that is still to come: answers from the addresses of load balancers, which are the loopback's.
            sysctl::set("net/ipv4/conf/default/route_localnet", "1")?;
            // Pods share a bridge; by a shorter way than the node's, replies would go past connection tracking.
            sysctl::quiet_ipv6();
            network = Some(Arc::new(
                Netns::current().map_err(NetworkError::netlink("open the pod's network namespace"))?,
            ));
        }
        for (name, value) in sysctls {
            // Only what belongs to these namespaces; a dot in a pod's setting is a slash in the file's name.
            let own = (own_network && name.starts_with("net."))
                || name.starts_with("kernel.shm")
                || name.starts_with("kernel.msg");
            if !own {
                let source = std::io::Error::other("it is not a setting of the pod's own namespaces");
                return Err(NetworkError::System { action: format!("set the sysctl {name}"), source });
            }
            sysctl::set(&name.replace('.', "/"), value)?;
        }
        let open = |name: &str| {
            File::open(format!("/proc/thread-self/ns/{name}"))
                .map_err(NetworkError::system("open the pod's namespaces"))
        };
        Ok(Self { network, host_name: open("uts")?, communication: open("ipc")? })
    }

    /// The network namespace, if it is not the node's.
    pub(crate) fn network(&self) -> Option<&Arc<Netns>> {
        self.network.as_ref()
    }

    /// Moves the calling thread into all of them.
    pub(crate) fn enter(&self) -> nix::Result<()> {
        setns(&self.host_name, CloneFlags::CLONE_NEWUTS)?;
        setns(&self.communication, CloneFlags::CLONE_NEWIPC)?;
        match &self.network {
            Some(network) => setns(network.as_ref(), CloneFlags::CLONE_NEWNET),
            None => Ok(()),
        }
    }
}
