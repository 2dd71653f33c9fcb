//! The cluster that a destination means.

use sagene_api::istio::networking::common::Destination;
use sagene_api::istio::networking::traffic_policy::load_balancer::ConsistentHashLb;
use sagene_model::hostname::Hostname;

use super::super::names;
use super::super::proto::{duration, route};
use crate::index::view::View;
use route::route_action::HashPolicy;
use route::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};

/// The cluster of a destination for requests to `listener_port`. Without a port of its own, a service with one port has that; any
/// other the port of the listener.
pub(crate) fn cluster_name(view: &View, destination: &Destination, listener_port: u16) -> String {
    names::outbound(port(view, destination, listener_port), &destination.subset, &destination.host)
}

/// The port of a destination.
pub(crate) fn port(view: &View, destination: &Destination, listener_port: u16) -> u16 {
    let declared = destination.port.as_ref().and_then(|port| u16::try_from(port.number).ok());
    declared.unwrap_or_else(|| match view.destination(&destination.host) {
        Some(visible) => match visible.service.ports.as_slice() {
            [only] => only.port,
            _ => listener_port,
        },
        None => listener_port,
    })
}

/// How requests to a destination keep their endpoint; empty where they do not.
pub(super) fn hash_policy(view: &View, destination: &Destination, listener_port: u16) -> Vec<HashPolicy> {
    let Some(visible) = view.service(Hostname::new(&destination.host).as_str()) else { return Vec::new() };
    let Some(rule) = &visible.rule else { return Vec::new() };
    let port = port(view, destination, listener_port);
    let policy = rule.merged.policy(port, rule.merged.subset(&destination.subset));
    policy
        .load_balancer
        .and_then(|settings| settings.consistent_hash)
        .and_then(|hash| specifier(&hash))
        .map(|specifier| HashPolicy { terminal: false, policy_specifier: Some(specifier) })
        .into_iter()
        .collect()
}

fn specifier(hash: &ConsistentHashLb) -> Option<PolicySpecifier> {
    if let Some(name) = &hash.http_header_name {
        return Some(PolicySpecifier::Header(Header { header_name: name.clone(), ..Header::default() }));
    }
    if let Some(cookie) = &hash.http_cookie {
        let attribute =
            |one: &sagene_api::istio::networking::traffic_policy::load_balancer::CookieAttribute| {
                CookieAttribute { name: one.name.clone(), value: one.value.clone() }
            };
        return Some(PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(duration),
            path: cookie.path.clone(),
            attributes: cookie.attributes.iter().map(attribute).collect(),
        }));
    }
    if let Some(name) = &hash.http_query_parameter_name {
        return Some(PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() }));
    }
    let by_source = hash.use_source_ip == Some(true);
    by_source.then_some(PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }))
}
