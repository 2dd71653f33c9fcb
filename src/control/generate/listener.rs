//! Listeners: what a proxy accepts, and by which chain of filters it goes.

mod chain;
mod http_manager;
mod inbound;
mod inbound_policy;
mod outbound;
mod router;
mod tcp;
mod unique;

use std::sync::Arc;

use super::{Proxy, Resource};
use crate::index::Index;
use crate::index::inbound::Inbound;
use crate::index::view::View;

/// The listeners of a sidecar.
pub(crate) fn of_sidecar(index: &Index, view: &View, inbound: &Inbound) -> Vec<Arc<Resource>> {
    let mut listeners = view.listeners.get_or_init(|| outbound::listeners(index, view)).clone();
    let own = inbound.listeners.get_or_init(|| inbound::listeners(index, &inbound.key));
    listeners.extend(own.iter().cloned());
    listeners
}

/// The listeners of a gateway.
pub(crate) fn of_router(index: &Index, view: &View, inbound: &Inbound, _proxy: &Proxy) -> Vec<Arc<Resource>> {
    router::listeners(index, view, inbound)
}
