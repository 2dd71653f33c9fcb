//! Load assignments: the endpoints of a cluster, near ones first where that is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::traffic_policy::TrafficPolicy;
use sagene_model::endpoint::{Endpoint, Health};
use sagene_model::labels::has_all;
use sagene_model::peer_authentication::{self, Mode};
use sagene_model::service::Resolution;

use super::proto::{address, core, endpoint, pipe, structure, text, uint};
use super::{Resource, names};
use crate::index::Index;
use crate::index::services::ServiceState;
use crate::index::view::{View, Visible};

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
    let locality = if minds_locality(index, visible, &policy) { view.key.locality.as_str() } else { "" };
    let key = if locality.is_empty() { name.to_owned() } else { format!("{name}@{locality}") };
    state.assignment(visible.rule_id(), &key, || {
        let mut made = inline(index, state, port, subset, name);
        if !locality.is_empty() {
            by_locality(&mut made, locality);
        }
        crate::generate::resource::encode(name, &made)
    })
}

fn empty(name: &str) -> Arc<Resource> {
    let made = endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        ..endpoint::ClusterLoadAssignment::default()
    };
    crate::generate::resource::encode(name, &made)
}

/// Near endpoints go first only where failing ones are noticed, or where the Service asks for it.
fn minds_locality(index: &Index, visible: &Visible, policy: &TrafficPolicy) -> bool {
    let setting = policy.load_balancer.as_ref().and_then(|lb| lb.locality_lb_setting.as_ref());
    let enabled =
        setting.map_or(index.settings.locality_load_balancing, |setting| setting.enabled.unwrap_or(true));
    let asked = matches!(visible.service.traffic_distribution.as_str(), "PreferClose" | "PreferSameZone");
    asked || (enabled && policy.outlier_detection.is_some())
}

/// Priorities by nearness: same subzone 0, same zone 1, same region 2, elsewhere 3; unused ones are closed up.
fn by_locality(made: &mut endpoint::ClusterLoadAssignment, client: &str) {
    let client: Vec<&str> = client.split('/').collect();
    for locality in &mut made.endpoints {
        let place = locality.locality.clone().unwrap_or_default();
        let parts = [place.region.as_str(), place.zone.as_str(), place.sub_zone.as_str()];
        let agreeing =
            (0..3).take_while(|at| parts[*at] == client.get(*at).copied().unwrap_or_default()).count();
        locality.priority = 3 - u32::try_from(agreeing).unwrap_or(0);
    }
    let mut used: Vec<u32> = made.endpoints.iter().map(|locality| locality.priority).collect();
    used.sort_unstable();
    used.dedup();
    for locality in &mut made.endpoints {
        let position = used.iter().position(|priority| *priority == locality.priority);
        locality.priority = position.and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    }
    made.endpoints.sort_by_key(|locality| locality.priority);
}

/// The endpoints of a service's port and subset.
pub(crate) fn inline(
    index: &Index,
    state: &ServiceState,
    port: u16,
    subset: Option<&Subset>,
    name: &str,
) -> endpoint::ClusterLoadAssignment {
    let mut localities: BTreeMap<&str, Vec<endpoint::LbEndpoint>> = BTreeMap::new();
    let alias = alias(state, port);
    let wanted = state.endpoints.iter().chain(&alias).filter(|one| {
        one.service_port == port
            && one.health == Health::Healthy
            && subset.is_none_or(|subset| has_all(&one.labels, &subset.labels))
    });
    for one in wanted {
        localities.entry(one.locality.as_ref()).or_default().push(lb_endpoint(index, one));
    }
    let endpoints = localities
        .into_iter()
        .map(|(place, lb_endpoints)| {
            let weights = lb_endpoints.iter().filter_map(|one| one.load_balancing_weight.as_ref());
            let sum = weights.fold(0u32, |sum, weight| sum.saturating_add(weight.value));
            endpoint::LocalityLbEndpoints {
                locality: Some(locality(place)),
                load_balancing_weight: uint(sum.max(1)),
                lb_endpoints,
                ..endpoint::LocalityLbEndpoints::default()
            }
        })
        .collect();
    endpoint::ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints, ..Default::default() }
}

/// An ExternalName service has the name it stands for as its one endpoint.
fn alias(state: &ServiceState, port: u16) -> Option<Endpoint> {
    let service = &state.service;
    (service.resolution == Resolution::Alias && !service.external_name.is_empty()).then(|| Endpoint {
        address: service.external_name.clone(),
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
    let mut parts = place.splitn(3, '/').map(str::to_owned);
    core::Locality {
        region: parts.next().unwrap_or_default(),
        zone: parts.next().unwrap_or_default(),
        sub_zone: parts.next().unwrap_or_default(),
    }
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

fn lb_endpoint(index: &Index, one: &Endpoint) -> endpoint::LbEndpoint {
    let address = match one.address.strip_prefix("unix://") {
        Some(path) => pipe(path),
        None => address(&one.address, u32::from(one.port)),
    };
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
            address: Some(address),
            ..endpoint::Endpoint::default()
        })),
        ..endpoint::LbEndpoint::default()
    }
}
