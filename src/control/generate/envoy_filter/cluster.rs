//! Patches of clusters.

use std::sync::Arc;

use sagene_api::istio::networking::envoy_filter::{ApplyTo, ClusterMatch, PatchContext, PatchOperation};

use super::super::Resource;
use super::super::proto::cluster;
use super::super::resource::encode;
use super::listener::decoded;
use super::{Selection, merge};

/// A cluster after its patches; `None` where one removes it.
pub(super) fn patched(selection: &Selection, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
    let inbound = resource.name.starts_with("inbound|") || &*resource.name == "InboundPassthroughCluster";
    let context = match (selection.gateway, inbound) {
        (true, _) => PatchContext::Gateway,
        (false, true) => PatchContext::SidecarInbound,
        (false, false) => PatchContext::SidecarOutbound,
    };
    let mut meant = selection
        .of(ApplyTo::Cluster)
        .filter(|patch| patch.is_for(context) && patch.operation != PatchOperation::Add)
        .filter(|patch| patch.condition.cluster.as_ref().is_none_or(|wanted| means(wanted, &resource.name)))
        .peekable();
    if meant.peek().is_none() {
        return Some(resource.clone());
    }
    let Some(mut made) = decoded::<cluster::Cluster>(resource) else { return Some(resource.clone()) };
    for patch in meant {
        match patch.operation {
            PatchOperation::Remove => return None,
            _ if merge::merges(patch) => merge::merge(&mut made, patch),
            _ => {}
        }
    }
    Some(encode(&resource.name, &made))
}

/// Names of generated clusters are `direction|port|subset|host`.
fn means(wanted: &ClusterMatch, name: &str) -> bool {
    if !wanted.name.is_empty() {
        return wanted.name == name;
    }
    let parts: Vec<&str> = name.split('|').collect();
    let [_, port, subset, host] = parts.as_slice() else {
        return wanted.service.is_empty() && wanted.subset.is_empty() && wanted.port_number == 0;
    };
    (wanted.service.is_empty() || wanted.service == *host)
        && (wanted.subset.is_empty() || wanted.subset == *subset)
        && (wanted.port_number == 0 || port.parse() == Ok(wanted.port_number))
}

/// Adds the clusters of patches whose names are not taken.
pub(super) fn add(selection: &Selection, made: &mut Vec<Arc<Resource>>) {
    for patch in selection.of(ApplyTo::Cluster).filter(|patch| patch.operation == PatchOperation::Add) {
        let context = patch.condition.context;
        let meant = match selection.gateway {
            true => matches!(context, PatchContext::Any | PatchContext::Gateway),
            false => !matches!(context, PatchContext::Gateway | PatchContext::Waypoint),
        };
        let Some(cluster) = merge::value::<cluster::Cluster>(patch).filter(|_| meant) else { continue };
        if !cluster.name.is_empty() && !made.iter().any(|one| *one.name == *cluster.name) {
            made.push(encode(&cluster.name, &cluster));
        }
    }
}
