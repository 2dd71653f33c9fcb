//! Load assignments: the endpoints of a cluster, near ones first where that is asked for.

pub(crate) mod preference;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::traffic_policy::TrafficPolicy;
use sagene_model::endpoint::{Endpoint, Health};
use sagene_model::labels::has_all;
use sagene_model::locality::Locality;
use sagene_model::peer_authentication::{self, Mode};
use sagene_model::service::Resolution;

use super::families::Families;
use super::proto::{address, core, endpoint, pipe, structure, text, uint};
use super::{Resource, names};
use crate::index::Index;
use crate::index::services::{AssignmentKey, ServiceState};
use crate::index::view::View;
use preference::Preference;

/// The load assignment of a cluster; empty where the cluster is not known or has no endpoints.
pub(crate) fn assignment(index: &Index, view: &View, name: &str) -> Arc<Resource> {
    let found = names::parse_outbound(name).and_then(|(port, subset, host)| {
        let visible = view.service(host)?;
        let state = index.services.get(&visible.key)?;
        Some((port, subset, visible, state))
    });
    let Some((port, subset_name, visible, state)) = found else { return empty(name) };
    let rule = visible.rule.as_ref();
    let subset = match (subset_name, rule) {
        ("", _) => None,
        (wanted, Some(rule)) => match rule.merged.subset(wanted) {
            Some(subset) => Some(subset),
            None => return empty(name),
        },
        (_, None) => return empty(name),
    };
    let policy = rule.map(|rule| rule.merged.policy(port, subset)).unwrap_or_default();
    let client = client(index, state, view, &policy);
    let key = AssignmentKey {
        rule: visible.rule_id(),
        cluster: name.to_owned(),
        place: client.preference.is_some().then(|| view.key.place.clone()),
        families: client.families,
    };
    state.assignment(key, || {
        let made = inline(index, state, port, subset, name, &client);
        crate::generate::resource::encode(name, &made)
    })
}

/// Of whom the endpoints are asked.
pub(crate) struct Client<'a> {
    /// What it prefers.
    pub(crate) preference: Option<Preference<'a>>,
    /// What it can reach, where endpoints have addresses of two families.
    pub(crate) families: Option<Families>,
}

/// The clients of a view, as far as endpoints of a service mind them.
pub(crate) fn client<'a>(
    index: &'a Index,
    state: &ServiceState,
    view: &'a View,
    policy: &'a TrafficPolicy,
) -> Client<'a> {
    Client {
        preference: Preference::of(&index.settings, &view.key.place, &state.service, policy),
        families: state.is_dual_stack().then_some(view.key.families),
    }
}

fn empty(name: &str) -> Arc<Resource> {
    let made = endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        ..endpoint::ClusterLoadAssignment::default()
    };
    crate::generate::resource::encode(name, &made)
}

/// The endpoints of a service's port and subset, by priority and locality.
pub(crate) fn inline(
    index: &Index,
    state: &ServiceState,
    port: u16,
    subset: Option<&Subset>,
    name: &str,
    client: &Client<'_>,
) -> endpoint::ClusterLoadAssignment {
    let preference = client.preference.as_ref();
    let mut groups: BTreeMap<(u32, &str), Vec<endpoint::LbEndpoint>> = BTreeMap::new();
    let alias = alias(state, port);
    let wanted = state.endpoints.iter().chain(&alias).filter(|one| {
        one.service_port == port
            && one.health == Health::Healthy
            && subset.is_none_or(|subset| has_all(&one.labels, &subset.labels))
    });
    for one in wanted {
        let rank = preference.map_or(0, |preference| preference.rank(one));
        groups.entry((rank, &one.locality)).or_default().push(lb_endpoint(index, one, client.families));
    }
    // Priorities have no gaps.
    let ranks: BTreeSet<u32> = groups.keys().map(|(rank, _)| *rank).collect();
    let priorities: BTreeMap<u32, u32> = ranks.into_iter().zip(0..).collect();
    let group = |((rank, place), lb_endpoints): ((u32, &str), Vec<endpoint::LbEndpoint>)| {
        let weights = lb_endpoints.iter().filter_map(|one| one.load_balancing_weight.as_ref());
        let sum = weights.fold(0u32, |sum, weight| sum.saturating_add(weight.value));
        endpoint::LocalityLbEndpoints {
            locality: Some(locality(place)),
            priority: priorities.get(&rank).copied().unwrap_or(0),
            load_balancing_weight: uint(sum.max(1)),
            lb_endpoints,
            ..endpoint::LocalityLbEndpoints::default()
        }
    };
    let mut endpoints = groups.into_iter().map(group).collect();
    if let Some(preference) = preference {
        preference.distribute(&mut endpoints);
    }
    endpoint::ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints, ..Default::default() }
}

/// An ExternalName service has the name it stands for as its one endpoint.
fn alias(state: &ServiceState, port: u16) -> Option<Endpoint> {
    let service = &state.service;
    (service.resolution == Resolution::Alias && !service.external_name.is_empty()).then(|| Endpoint {
        address: service.external_name.clone(),
        also_at: Vec::new(),
        port,
        service_port: port,
        labels: Arc::default(),
        identity: None,
        mutual_tls: false,
        locality: "".into(),
        node: String::new(),
        weight: 1,
        health: Health::Healthy,
        workload: Arc::default(),
        hostname: String::new(),
    })
}

fn locality(place: &str) -> core::Locality {
    let Locality { region, zone, subzone } = Locality::parse(place);
    core::Locality { region: region.to_owned(), zone: zone.to_owned(), sub_zone: subzone.to_owned() }
}

/// True where the workload's proxy takes mutual TLS and no policy forbids it.
pub(crate) fn takes_mutual_tls(index: &Index, one: &Endpoint) -> bool {
    if !one.mutual_tls {
        return false;
    }
    if index.snapshot.peer_authentications.is_empty() {
        return true;
    }
    let mesh = &index.settings.mesh;
    let modes = peer_authentication::effective(&index.snapshot, mesh, &one.workload.namespace, &one.labels);
    modes.of_port(one.port) != Mode::Disable
}

/// The addresses of an endpoint that a client can reach, all where that is none; the first is the one it tries first.
fn reachable(one: &Endpoint, families: Option<Families>) -> Vec<&str> {
    let all = || one.addresses();
    let is_reachable = |address: &&str| {
        families.is_none_or(|families| address.parse().is_ok_and(|address| families.reach(address)))
    };
    let reachable: Vec<&str> = all().filter(is_reachable).collect();
    if reachable.is_empty() { all().collect() } else { reachable }
}

fn lb_endpoint(index: &Index, one: &Endpoint, families: Option<Families>) -> endpoint::LbEndpoint {
    let at = |text: &str| match text.strip_prefix("unix://") {
        Some(path) => pipe(path),
        None => address(text, u32::from(one.port)),
    };
    let mut addresses = reachable(one, families).into_iter();
    let first = addresses.next().map(at);
    let further = addresses.map(|text| endpoint::endpoint::AdditionalAddress { address: Some(at(text)) });
    let mut metadata = core::Metadata::default();
    if takes_mutual_tls(index, one) {
        let mode = structure([("tlsMode", text("istio"))]);
        metadata.filter_metadata.insert("envoy.transport_socket_match".to_owned(), mode);
    }
    let workload = &one.workload;
    if !workload.name.is_empty() {
        let described = format!(
            "{};{};{};{};{}",
            workload.name,
            workload.namespace,
            workload.canonical_name,
            workload.canonical_revision,
            index.settings.mesh.cluster_id,
        );
        let istio = structure([("workload", text(&described))]);
        metadata.filter_metadata.insert("istio".to_owned(), istio);
    }
    endpoint::LbEndpoint {
        metadata: (!metadata.filter_metadata.is_empty()).then_some(metadata),
        load_balancing_weight: uint(one.weight.max(1)),
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
            address: first,
            additional_addresses: further.collect(),
            ..endpoint::Endpoint::default()
        })),
        ..endpoint::LbEndpoint::default()
    }
}
