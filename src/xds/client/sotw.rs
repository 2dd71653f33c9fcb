//! State-of-the-world requests and responses.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
};

use super::{Answer, Subscription, TypeState, Update, delta::error_detail, stream::Dialect};
use crate::wire;

pub(super) struct StateOfTheWorld;

impl Dialect for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    const METHOD: &'static str =
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

    fn initial(type_url: &str, state: &TypeState) -> Option<Self::Request> {
        if matches!(&state.subscription, Subscription::Names(names) if names.is_empty()) {
            return None;
        }
        Some(request(type_url, state))
    }

    fn changed(type_url: &str, state: &TypeState, _: &Subscription) -> Self::Request {
        DiscoveryRequest { response_nonce: state.last_nonce.clone(), ..request(type_url, state) }
    }

    fn answer(state: &TypeState, answer: &Answer) -> Self::Request {
        DiscoveryRequest {
            response_nonce: answer.nonce.clone(),
            error_detail: answer.error.clone().map(error_detail),
            ..request(&answer.type_url, state)
        }
    }

    fn set_node(request: &mut Self::Request, node: Node) {
        request.node = Some(node);
    }

    /// Wildcard types carry the whole state, so what is absent is gone; of named types absent resources are merely unchanged.
    fn update(response: Self::Response, types: &BTreeMap<String, TypeState>, stream: u64) -> Update {
        let version = response.version_info;
        let upserts: Vec<_> = response
            .resources
            .into_iter()
            .map(|any| (wire::resource_name(&response.type_url, &any.value), version.clone(), any))
            .collect();
        let removed = match types.get(&response.type_url) {
            Some(TypeState { subscription: Subscription::Wildcard, accepted, .. }) => accepted
                .keys()
                .filter(|known| !upserts.iter().any(|(name, _, _)| name == *known))
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        Update { upserts, type_url: response.type_url, removed, nonce: response.nonce, version, stream }
    }
}

fn request(type_url: &str, state: &TypeState) -> DiscoveryRequest {
    let resource_names = match &state.subscription {
        Subscription::Wildcard => Vec::new(),
        Subscription::Names(names) => names.iter().cloned().collect(),
    };
    DiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names,
        version_info: state.last_version.clone(),
        ..Default::default()
    }
}
