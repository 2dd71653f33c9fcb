//! Patches of HTTP filters.

use sagene_api::istio::networking::envoy_filter::{FilterClass, PatchOperation};

use super::super::proto::network::http_connection_manager::v3::HttpFilter;
use super::condition::same_name;
use super::merge;
use super::patch::Patch;

/// Applies a patch to the filters of a connection manager.
pub(super) fn patch(filters: &mut Vec<HttpFilter>, patch: &Patch) {
    let wanted = patch.http_filter();
    if patch.class != FilterClass::Unspecified && patch.operation == PatchOperation::Add {
        let at = place(filters, patch.class);
        filters.extend(merge::value::<HttpFilter>(patch));
        // What was just put at the end goes to its place.
        filters[at..].rotate_right(1);
        return;
    }
    merge::apply(filters, patch, !wanted.is_empty(), |one| wanted.is_empty() || same_name(wanted, &one.name));
}

/// Where a filter of this class stands: behind Istio's authentication or authorization, or in front of its statistics.
fn place(filters: &[HttpFilter], class: FilterClass) -> usize {
    let behind =
        |names: &[&str]| filters.iter().rposition(|one| names.contains(&one.name.as_str())).map(|at| at + 1);
    let begin = || behind(&["istio.metadata_exchange"]).unwrap_or(0);
    let authentication = || behind(&["envoy.filters.http.jwt_authn"]).unwrap_or_else(begin);
    let end = filters.len().saturating_sub(1);
    match class {
        FilterClass::Authn => authentication(),
        FilterClass::Authz => behind(&["envoy.filters.http.rbac", "envoy.filters.http.ext_authz"])
            .unwrap_or_else(authentication),
        FilterClass::Stats => filters.iter().position(|one| one.name == "istio.stats").unwrap_or(end),
        FilterClass::Unspecified => filters.len(),
    }
}
