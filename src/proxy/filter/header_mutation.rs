//! `envoy.filters.http.header_mutation` at work.

use std::sync::Arc;

use crate::config::{FilterMutations, Mutations};
use crate::http::exchange::Exchange;

impl Exchange {
    /// Changes headers of the request: as the filter says, then as the route and what is around it say.
    pub(crate) fn mutate_request_by_filter(&mut self, changes: &FilterMutations) {
        self.mutate_request(&changes.own.request);
        for each in self.mutations_of_route(changes) {
            self.mutate_request(&each.request);
        }
    }

    /// The same for the response.
    pub(crate) fn mutate_response_by_filter(&mut self, changes: &FilterMutations) {
        self.mutate_response(&changes.own.response);
        for each in self.mutations_of_route(changes) {
            self.mutate_response(&each.response);
        }
    }

    /// Those of the route, its host and its table, in the order that the filter wants.
    fn mutations_of_route(&self, changes: &FilterMutations) -> Vec<Arc<Mutations>> {
        let Some((vhost, route)) = &self.route else { return Vec::new() };
        let levels = [&route.overrides, &vhost.overrides, &*vhost.table_overrides];
        let found = levels.into_iter().filter_map(|overrides| overrides.header_mutation.clone());
        let mut found: Vec<_> = found.collect();
        if changes.route_last {
            found.reverse();
        }
        found
    }
}
