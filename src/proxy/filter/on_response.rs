//! The way of a response back through the filters.

use crate::config::HttpFilter;
use crate::http::body::Body;
use crate::http::exchange::Exchange;

impl Exchange {
    /// Changes the response as the filters want, the last filter first.
    pub(crate) fn change_response_by_filters(&mut self, body: &mut Body) {
        let manager = self.scene.manager.clone();
        for filter in manager.filters.iter().rev() {
            match filter {
                HttpFilter::HeaderMutation(changes) => self.mutate_response_by_filter(changes),
                HttpFilter::Compressor(compressor) => {
                    let special = self.special(|overrides| &overrides.compressor);
                    self.compress_response(compressor, special.as_ref(), body);
                }
                _ => {}
            }
        }
    }
}
