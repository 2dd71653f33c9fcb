//! Listeners on the machine's loopback for Services of type LoadBalancer and for node ports.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::HostNetwork;
use super::forwarder;

/// Below, an unprivileged user may not listen, and the machine's own servers live there.
const OFFSET: u16 = 8000;

/// A listener outside and where its connections go inside.
struct Listener {
    host_port: u16,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is listened for: a Service address inside the cluster.
pub(crate) type Inside = (Ipv4Addr, u16);

/// The open listeners.
pub(crate) struct LoadBalancer {
    host: HostNetwork,
    listeners: HashMap<(Inside, Purpose), Listener>,
}

/// Why a port is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A Service of type LoadBalancer: any port will do, a familiar one is better.
    LoadBalancer,
    /// A node port: that very port or none.
    NodePort(u16),
}

impl LoadBalancer {
    pub(crate) fn new(host: HostNetwork) -> Self {
        Self { host, listeners: HashMap::new() }
    }

    /// Opens a listener on 127.0.0.1 for `inside` and returns its port; an open one stays. `earlier` is the port it had before a
    /// restart. `None`: no port could be opened.
    pub(crate) fn open(&mut self, inside: Inside, purpose: Purpose, earlier: Option<u16>) -> Option<u16> {
        if let Some(listener) = self.listeners.get(&(inside, purpose)) {
            return Some(listener.host_port);
        }
        let listener =
            candidates(inside.1, purpose, earlier).into_iter().find_map(|port| self.listen(port))?;
        let host_port = listener.local_addr().ok()?.port();
        let target = SocketAddr::from(inside);
        let task = tokio::spawn(forwarder::serve(listener, move |_| TcpStream::connect(target)));
        self.listeners.insert((inside, purpose), Listener { host_port, task });
        Some(host_port)
    }

    fn listen(&self, port: u16) -> Option<TcpListener> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = self.host.listen(address).ok()?;
        TcpListener::from_std(listener).ok()
    }

    /// Closes every listener that `wanted` does not name, with its connections.
    pub(crate) fn retain(&mut self, wanted: impl Fn(Inside, Purpose) -> bool) {
        self.listeners.retain(|(inside, purpose), _| wanted(*inside, *purpose));
    }
}

/// Ports to try, best first. Zero means any.
fn candidates(port: u16, purpose: Purpose, earlier: Option<u16>) -> Vec<u16> {
    match purpose {
        Purpose::NodePort(port) => vec![port],
        Purpose::LoadBalancer => {
            let mut ports: Vec<u16> = earlier.into_iter().collect();
            ports.push(port);
            ports.extend(port.checked_add(OFFSET));
            ports.push(0);
            ports
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_kept_then_itself_then_its_familiar_neighbor_then_any() {
        assert_eq!(candidates(80, Purpose::LoadBalancer, Some(9080)), [9080, 80, 8080, 0]);
        assert_eq!(candidates(443, Purpose::LoadBalancer, None), [443, 8443, 0]);
        assert_eq!(candidates(60_000, Purpose::LoadBalancer, None), [60_000, 0]);
        assert_eq!(candidates(80, Purpose::NodePort(30_080), Some(1)), [30_080]);
    }
}
