//! Clusters: where connections can go, and how they are made.

mod inbound;
mod load_balancing;
mod outbound;
mod policy;
mod well_known;

use std::sync::Arc;

use sagene_model::service::Resolution;

use super::Resource;
use crate::index::Index;
use crate::index::inbound::Inbound;
use crate::index::services::ClusterKey;
use crate::index::view::View;

/// The clusters of a sidecar.
pub(crate) fn of_sidecar(index: &Index, view: &View, inbound: &Inbound) -> Vec<Arc<Resource>> {
    let mut clusters = outbound_clusters(index, view, false);
    clusters.push(well_known::black_hole(&index.settings));
    clusters.push(well_known::passthrough(&index.settings));
    clusters.push(well_known::inbound_passthrough(&index.settings, view.key.families));
    clusters.extend_from_slice(inbound.clusters.get_or_init(|| inbound::clusters(index, &inbound.key)));
    clusters
}

/// The clusters of a gateway.
pub(crate) fn of_router(index: &Index, view: &View) -> Vec<Arc<Resource>> {
    let mut clusters = outbound_clusters(index, view, true);
    clusters.push(well_known::black_hole(&index.settings));
    clusters
}

/// One cluster per visible service, port and subset; generated once for all clients to whom the same rule applies.
fn outbound_clusters(index: &Index, view: &View, router: bool) -> Vec<Arc<Resource>> {
    let all = view.clusters.get_or_init(|| {
        let mut clusters = Vec::with_capacity(view.services.len());
        for visible in &view.services {
            let Some(state) = index.services.get(&visible.key) else { continue };
            let plain_envoy = view.key.plain_envoy;
            let by_place = state.service.resolution == Resolution::DnsLb && state.endpoints.len() > 1;
            let place = by_place.then(|| view.key.place.clone());
            let key = ClusterKey { rule: visible.rule_id(), router, plain_envoy, place };
            let made = state
                .clusters(key, || outbound::clusters(index, state, visible.rule.as_deref(), view, router));
            clusters.extend(made.iter().cloned());
        }
        clusters
    });
    all.clone()
}
