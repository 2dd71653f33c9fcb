//! Delta requests and responses.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    },
    google::rpc::Status,
};

use super::{Answer, Subscription, TypeState, Update, stream::Dialect};

/// gRPC's INVALID_ARGUMENT, as Envoy answers a configuration it rejects.
pub(super) const INVALID_ARGUMENT: i32 = 3;
const WILDCARD: &str = "*";

pub(super) struct Delta;

impl Dialect for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    const METHOD: &'static str =
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

    fn initial(type_url: &str, state: &TypeState) -> Option<Self::Request> {
        let subscribe = names(&state.subscription);
        if subscribe.is_empty() {
            return None;
        }
        Some(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: subscribe.into_iter().collect(),
            initial_resource_versions: state.accepted.clone().into_iter().collect(),
            ..Default::default()
        })
    }

    fn changed(type_url: &str, state: &TypeState, before: &Subscription) -> Self::Request {
        let (before, after) = (names(before), names(&state.subscription));
        DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: after.difference(&before).cloned().collect(),
            resource_names_unsubscribe: before.difference(&after).cloned().collect(),
            ..Default::default()
        }
    }

    fn answer(_: &TypeState, answer: &Answer) -> Self::Request {
        DeltaDiscoveryRequest {
            type_url: answer.type_url.clone(),
            response_nonce: answer.nonce.clone(),
            error_detail: answer.error.clone().map(error_detail),
            ..Default::default()
        }
    }

    fn set_node(request: &mut Self::Request, node: Node) {
        request.node = Some(node);
    }

    fn update(response: Self::Response, _: &BTreeMap<String, TypeState>, stream: u64) -> Update {
        let upserts = response.resources.into_iter().filter_map(|resource| {
            let any = resource.resource?;
            Some((resource.name, resource.version, any))
        });
        Update {
            upserts: upserts.collect(),
            type_url: response.type_url,
            removed: response.removed_resources,
            nonce: response.nonce,
            version: response.system_version_info,
            stream,
        }
    }
}

pub(super) fn error_detail(message: String) -> Status {
    Status { code: INVALID_ARGUMENT, message, details: Vec::new() }
}

fn names(subscription: &Subscription) -> BTreeSet<String> {
    match subscription {
        Subscription::Wildcard => BTreeSet::from([WILDCARD.to_owned()]),
        Subscription::Names(names) => names.clone(),
    }
}
