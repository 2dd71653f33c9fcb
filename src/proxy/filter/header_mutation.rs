//! `envoy.filters.http.header_mutation` at work.

use std::sync::Arc;

use crate::config::{HttpFilter, Mutations};
use crate::http::exchange::Exchange;

impl Exchange {
    /// Changes headers of the response as the filters want, the last filter first.
    pub(crate) fn mutate_response_by_filters(&mut self) {
        let manager = self.scene.manager.clone();
        let changes = manager.filters.iter().rev().filter_map(|filter| match filter {
            HttpFilter::HeaderMutation(changes) => Some(changes),
            _ => None,
        });
        changes.for_each(|changes: &Arc<Mutations>| self.mutate_response(&changes.response));
    }
}
