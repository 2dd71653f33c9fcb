//! `envoy.filters.http.buffer`: a request goes on when its body is whole, and is refused when it is too long.

use crate::config::proto::http::buffer::v3 as buffer;
use crate::config::{FieldError, Within};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::reply::Replier;

/// What a route says instead of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BufferOverride {
    Disabled,
    Most(usize),
}

/// Most bytes of a body, of the filter's configuration.
pub(crate) fn compile(from: &buffer::Buffer) -> Result<usize, FieldError> {
    match from.max_request_bytes.as_ref().map(|most| most.value as usize) {
        None | Some(0) => Err(FieldError::new("max_request_bytes", "is missing; give a number above 0")),
        Some(most) => Ok(most),
    }
}

impl BufferOverride {
    pub(crate) fn compile(from: &buffer::BufferPerRoute) -> Result<Self, FieldError> {
        use buffer::buffer_per_route::Override;
        match &from.r#override {
            Some(Override::Disabled(true)) => Ok(Self::Disabled),
            Some(Override::Buffer(buffer)) => compile(buffer).within("buffer").map(Self::Most),
            _ => Err(FieldError::new("override", "give disabled: true or buffer")),
        }
    }
}

impl Exchange {
    /// Waits for the whole body. `false` = an answer of our own is ready.
    pub(crate) async fn buffer(
        &mut self,
        most: usize,
        special: Option<BufferOverride>,
        body: &mut Body,
        replier: &mut Replier,
    ) -> bool {
        let most = match special {
            Some(BufferOverride::Disabled) => return true,
            Some(BufferOverride::Most(most)) => most,
            None => most,
        };
        // What follows an upgrade is no body, and has no end.
        if self.request.upgrade.is_some() || body.is_done() {
            return true;
        }
        let Some((whole, _)) = self.gather(most, false, body, replier).await else { return false };
        // Its length is known now; trailers come in chunks only.
        if !body.has_trailers() && !self.request.headers.contains(b"content-length") {
            self.request.headers.set(b"content-length", whole.len().to_string().as_bytes());
        }
        true
    }
}
