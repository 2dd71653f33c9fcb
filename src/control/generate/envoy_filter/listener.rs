//! Patches of listeners and what is in them.

use std::sync::Arc;

use prost::Message;
use sagene_api::istio::networking::envoy_filter::{ApplyTo, PatchContext, PatchOperation};

use super::super::Resource;
use super::super::proto::{core, listener};
use super::super::resource::encode;
use super::condition::same_name;
use super::{Selection, chain, merge};

/// The message of a generated resource.
pub(super) fn decoded<M: Message + Default>(resource: &Resource) -> Option<M> {
    let any = <prost_types::Any as Message>::decode(resource.any.clone()).ok()?;
    M::decode(any.value.as_slice()).ok()
}

/// A listener after its patches; `None` where one removes it.
pub(super) fn patched(selection: &Selection, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
    let Some(before) = decoded::<listener::Listener>(resource) else { return Some(resource.clone()) };
    let mut made = before.clone();
    for patch in
        selection.of(ApplyTo::Listener).filter(|patch| patch.means_listener(&before, selection.gateway, true))
    {
        match patch.operation {
            PatchOperation::Remove => return None,
            _ if merge::merges(patch) => merge::merge(&mut made, patch),
            _ => {}
        }
    }
    listener_filters(selection, &mut made);
    chain::patch_all(selection, &mut made);
    Some(if made == before { resource.clone() } else { encode(&resource.name, &made) })
}

fn listener_filters(selection: &Selection, made: &mut listener::Listener) {
    for patch in selection.of(ApplyTo::ListenerFilter) {
        if patch.means_listener(made, selection.gateway, true) {
            let wanted = patch.listener_filter();
            merge::apply(&mut made.listener_filters, patch, !wanted.is_empty(), |one| {
                wanted.is_empty() || same_name(wanted, &one.name)
            });
        }
    }
}

/// Adds the listeners of patches whose names are not taken.
pub(super) fn add(selection: &Selection, made: &mut Vec<Arc<Resource>>) {
    for patch in selection.of(ApplyTo::Listener).filter(|patch| patch.operation == PatchOperation::Add) {
        let Some(listener) = merge::value::<listener::Listener>(patch) else { continue };
        let context = match (selection.gateway, listener.traffic_direction) {
            (true, _) => PatchContext::Gateway,
            (false, direction) if direction == core::TrafficDirection::Inbound as i32 => {
                PatchContext::SidecarInbound
            }
            (false, direction) if direction == core::TrafficDirection::Outbound as i32 => {
                PatchContext::SidecarOutbound
            }
            // A listener that does not say so goes wherever the patch does.
            (false, _) if patch.condition.context == PatchContext::Gateway => continue,
            (false, _) => patch.condition.context,
        };
        let taken = made.iter().any(|one| *one.name == *listener.name);
        if patch.is_for(context) && !taken && !listener.name.is_empty() {
            made.push(encode(&listener.name, &listener));
        }
    }
}
