//! The proxy's own answers as `local_reply_config` wants them.

use bytes::Bytes;

use super::body::Body;
use super::exchange::Exchange;

/// What answers of the filter for CORS say of themselves; Envoy does not count them among its own.
const PREFLIGHT: &str = "cors_response";

impl Exchange {
    /// Changes status, headers and body of an answer of our own. Calls by gRPC keep theirs: their status is in trailers.
    pub(super) fn map_local_reply(&mut self, body: Body) -> Body {
        let manager = self.scene.manager.clone();
        let Some(reply) = &manager.local_reply else { return body };
        if self.grpc || self.info.details == PREFLIGHT {
            return body;
        }
        let mut text = match &body {
            Body::Full(text) => text.clone(),
            _ => Bytes::new(),
        };
        let mapper = reply.mapper(&self.cel_facts());
        if let Some(mapper) = mapper {
            if let Some(status) = mapper.status {
                self.response.status = status;
                self.info.response_code = status;
            }
            text = mapper.body.clone().unwrap_or(text);
            self.mutate_response(&mapper.headers);
        }
        if let Some(format) = reply.format(mapper) {
            self.info.local_reply = text;
            text = format.render(&self.facts()).into();
            self.info.local_reply = Bytes::new();
            self.response.headers.set(b"content-type", format.content_type.as_bytes());
        }
        if text.is_empty() {
            self.response.headers.remove(b"content-length");
            return Body::Empty;
        }
        self.response.headers.set(b"content-length", text.len().to_string().as_bytes());
        if !self.response.headers.contains(b"content-type") {
            self.response.headers.set(b"content-type", b"text/plain");
        }
        Body::Full(text)
    }
}
