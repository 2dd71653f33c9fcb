//! Which listeners a route attaches to.

use sagene_api::gateway_api::reference::ParentReference;
use sagene_api::{Object, Resource};

use super::listener::OpenListener;
use crate::hostname::Hostname;
use crate::labels::matches;
use crate::snapshot::Snapshot;

/// Why a route attaches to nothing of a parent: reason of the condition `Accepted`, message.
pub(super) type Refused = (&'static str, String);

/// A listener, and the hosts a route serves there.
pub(super) type Attached<'a, 'b> = (&'b OpenListener<'a>, Vec<Hostname>);

/// A route as far as attaching minds it.
pub(super) struct Attaching<'a> {
    pub(super) kind: &'static str,
    pub(super) namespace: &'a str,
    pub(super) hostnames: &'a [String],
}

impl<'a> Attaching<'a> {
    pub(super) fn of<S: Resource>(route: &'a Object<S>, hostnames: &'a [String]) -> Self {
        Self { kind: S::KIND, namespace: &route.metadata.namespace, hostnames }
    }

    /// True where the parent is a Gateway rather than a Service or a ServiceEntry.
    pub(super) fn is_gateway(parent: &ParentReference) -> bool {
        matches!(parent.kind.as_str(), "" | "Gateway")
    }

    /// The listeners of a parent that take the route, with the hosts that both have. `None` where the parent is not ours.
    pub(super) fn to<'b, 'c>(
        &self,
        snapshot: &Snapshot,
        parent: &ParentReference,
        listeners: &'b [OpenListener<'c>],
    ) -> Option<Result<Vec<Attached<'c, 'b>>, Refused>> {
        let place = if parent.namespace.is_empty() { self.namespace } else { &parent.namespace };
        let mut of_gateway = listeners
            .iter()
            .filter(|open| {
                open.gateway.metadata.namespace == place && open.gateway.metadata.name == parent.name
            })
            .peekable();
        of_gateway.peek()?;
        let meant: Vec<_> = of_gateway
            .filter(|open| parent.section_name.is_empty() || open.listener.name == parent.section_name)
            .filter(|open| parent.port.is_none_or(|port| open.listener.port == port))
            .collect();
        if meant.is_empty() {
            let message = format!("Gateway {place}/{} has no such listener", parent.name);
            return Some(Err(("NoMatchingParent", message)));
        }
        let allowed: Vec<_> = meant.into_iter().filter(|open| self.is_allowed(snapshot, open)).collect();
        if allowed.is_empty() {
            let message = "no listener allows routes of this kind from this namespace".to_owned();
            return Some(Err(("NotAllowedByListeners", message)));
        }
        let attached: Vec<_> = allowed
            .into_iter()
            .map(|open| (open, self.hosts(open)))
            .filter(|(_, hosts)| !hosts.is_empty())
            .collect();
        if attached.is_empty() {
            let message = "no listener has a host in common with the route".to_owned();
            return Some(Err(("NoMatchingListenerHostname", message)));
        }
        Some(Ok(attached))
    }

    fn is_allowed(&self, snapshot: &Snapshot, open: &OpenListener<'_>) -> bool {
        let by_protocol = match open.listener.protocol.as_str() {
            "HTTP" | "HTTPS" => matches!(self.kind, "HTTPRoute" | "GRPCRoute"),
            "TLS" => matches!(self.kind, "TLSRoute" | "TCPRoute"),
            "TCP" => self.kind == "TCPRoute",
            _ => false,
        };
        let allowed = open.listener.allowed_routes.as_ref();
        let kinds = allowed.map(|allowed| allowed.kinds.as_slice()).unwrap_or_default();
        let by_kind = kinds.is_empty() || kinds.iter().any(|one| one.kind == self.kind);
        let namespaces = allowed.and_then(|allowed| allowed.namespaces.as_ref());
        let by_namespace = match namespaces.map(|one| one.from.as_str()) {
            Some("All") => true,
            Some("Selector") => {
                let selector = namespaces.and_then(|one| one.selector.as_ref());
                let namespace = snapshot.namespaces.get("", self.namespace);
                match (selector, namespace) {
                    (Some(selector), Some(namespace)) => matches(selector, &namespace.metadata.labels),
                    _ => false,
                }
            }
            _ => open.gateway.metadata.namespace == self.namespace,
        };
        by_protocol && by_kind && by_namespace
    }

    fn hosts(&self, open: &OpenListener<'_>) -> Vec<Hostname> {
        let offered = open.host();
        if self.hostnames.is_empty() {
            return vec![offered];
        }
        self.hostnames.iter().filter_map(|host| offered.intersection(&Hostname::new(host))).collect()
    }
}
