//! Which things a patch means.

use sagene_api::istio::networking::envoy_filter::{
    FilterChainMatch, ListenerMatch, PatchContext, RouteConfigurationMatch,
};

use super::super::proto::{core, listener};
use super::patch::Patch;

/// Listeners in which every port has a chain of its own.
const VIRTUAL: [&str; 2] = ["virtualInbound", "virtualOutbound"];

impl Patch {
    /// Whether the patch is for this direction of traffic.
    pub(super) fn is_for(&self, context: PatchContext) -> bool {
        matches!(self.condition.context, PatchContext::Any) || self.condition.context == context
    }

    /// What the patch says of listeners.
    pub(super) fn listener(&self) -> Option<&ListenerMatch> {
        self.condition.listener.as_ref()
    }

    fn chain(&self) -> Option<&FilterChainMatch> {
        self.listener()?.filter_chain.as_ref()
    }

    /// Name of the network filter that is meant; empty for any.
    pub(super) fn network_filter(&self) -> &str {
        self.chain().and_then(|chain| chain.filter.as_ref()).map_or("", |filter| filter.name.as_str())
    }

    /// Name of the HTTP filter that is meant; empty for any.
    pub(super) fn http_filter(&self) -> &str {
        let filter = self.chain().and_then(|chain| chain.filter.as_ref());
        filter.and_then(|filter| filter.sub_filter.as_ref()).map_or("", |filter| filter.name.as_str())
    }

    /// Name of the listener filter that is meant; empty for any.
    pub(super) fn listener_filter(&self) -> &str {
        self.listener().map_or("", |wanted| wanted.listener_filter.as_str())
    }

    /// What the patch says of routes.
    pub(super) fn routes(&self) -> Option<&RouteConfigurationMatch> {
        self.condition.route_configuration.as_ref()
    }

    /// Whether the patch means this listener, or something in it.
    pub(super) fn means_listener(&self, made: &listener::Listener, gateway: bool, whole: bool) -> bool {
        if !self.is_for(context_of(made.traffic_direction, gateway)) {
            return false;
        }
        let Some(wanted) = self.listener() else { return true };
        if !wanted.name.is_empty() && wanted.name != made.name {
            return false;
        }
        // Ports stand in the chains of these.
        if !whole && VIRTUAL.contains(&made.name.as_str()) {
            return true;
        }
        wanted.port_number == 0 || wanted.port_number == port_of(made)
    }

    /// Whether the patch means this chain of a listener that it means.
    pub(super) fn means_chain(&self, listener_name: &str, made: &listener::FilterChain) -> bool {
        let Some(wanted) = self.listener() else { return true };
        let rule = made.filter_chain_match.clone().unwrap_or_default();
        let port = rule.destination_port.as_ref().map_or(0, |port| port.value);
        if VIRTUAL.contains(&listener_name) && wanted.port_number != 0 && wanted.port_number != port {
            return false;
        }
        let Some(wanted) = &wanted.filter_chain else { return true };
        let protocols = || wanted.application_protocols.split(',').map(str::trim);
        let socket = made.transport_socket.as_ref().map_or("", |socket| socket.name.as_str());
        (wanted.name.is_empty() || wanted.name == made.name)
            && (wanted.sni.is_empty() || rule.server_names.contains(&wanted.sni))
            && (wanted.transport_protocol.is_empty() || wanted.transport_protocol == rule.transport_protocol)
            && (wanted.application_protocols.is_empty()
                || protocols().any(|protocol| rule.application_protocols.iter().any(|own| own == protocol)))
            && (wanted.destination_port == 0 || wanted.destination_port == port)
            && (wanted.transport_socket.is_empty() || wanted.transport_socket == socket)
    }
}

/// The context of a listener of this direction.
pub(super) fn context_of(direction: i32, gateway: bool) -> PatchContext {
    match gateway {
        true => PatchContext::Gateway,
        false if direction == core::TrafficDirection::Inbound as i32 => PatchContext::SidecarInbound,
        false => PatchContext::SidecarOutbound,
    }
}

fn port_of(made: &listener::Listener) -> u32 {
    let address = made.address.as_ref().and_then(|address| address.address.as_ref());
    match address {
        Some(core::address::Address::SocketAddress(socket)) => match &socket.port_specifier {
            Some(core::socket_address::PortSpecifier::PortValue(port)) => *port,
            _ => 0,
        },
        _ => 0,
    }
}

/// Whether a name in a patch means a filter of this name: the same, or the one Envoy had before (`envoy.router`).
pub(super) fn same_name(wanted: &str, name: &str) -> bool {
    let older = |name: &str| {
        let (_, rest) = name.strip_prefix("envoy.filters.")?.split_once('.')?;
        Some(match name.starts_with("envoy.filters.listener.") {
            true => format!("envoy.listener.{rest}"),
            false => format!("envoy.{rest}"),
        })
    };
    wanted == name || older(name).is_some_and(|older| older == wanted)
}
