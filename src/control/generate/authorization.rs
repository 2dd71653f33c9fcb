//! Filters that decide who may do what.

use std::sync::Arc;

use super::proto::{listener, network};
use crate::index::Index;
use crate::index::inbound::InboundKey;
use network::http_connection_manager::v3::HttpFilter;

/// The filters of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    /// For requests, in order.
    pub(crate) http: Arc<[HttpFilter]>,
    /// For connections, in order.
    pub(crate) tcp: Arc<[listener::Filter]>,
}

/// The filters of the policies that select a workload.
pub(crate) fn policies(_index: &Index, _key: &InboundKey) -> Policies {
    Policies { http: Arc::from([]), tcp: Arc::from([]) }
}
