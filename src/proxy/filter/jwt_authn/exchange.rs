//! The filter at work on a request.

use super::status::Status;
use super::{JwtAuthn, JwtOverride, NAMESPACE};
use crate::http::exchange::Exchange;
use crate::http::info::Flags;

/// Longest path that a refusal repeats.
const SHOWN_PATH: usize = 256;

impl Exchange {
    /// Checks the tokens of the request. `false` = an answer of our own is ready.
    pub(crate) fn authenticate(&mut self, jwt: &JwtAuthn, special: Option<&JwtOverride>) -> bool {
        if jwt.bypasses(&self.request.method, &self.request.headers) {
            return true;
        }
        jwt.sanitize(&mut self.request.headers);
        let evaluation = match jwt.check(&self.route_query(), special) {
            Ok(evaluation) => evaluation,
            Err(status) => {
                self.scene.counters.jwt_authn_denied.add(1);
                self.refuse_token(status, jwt.explains());
                return false;
            }
        };
        self.scene.counters.jwt_authn_allowed.add(1);
        let accepted = evaluation.apply(&mut self.request.headers, &mut self.request.path);
        for (key, value) in accepted.metadata {
            self.info.metadata.get_or_insert_default().set(NAMESPACE, &key, value);
        }
        if accepted.clear_route_cache {
            self.route = None;
            self.find_route();
        }
        true
    }

    fn refuse_token(&mut self, status: Status, explain: bool) {
        let shown = &self.request.path[..self.request.path.len().min(SHOWN_PATH)];
        let mut challenge = [
            b"Bearer realm=\"".as_slice(),
            self.request.scheme.as_bytes(),
            b"://",
            &self.request.authority,
            shown,
            b"\"",
        ]
        .concat();
        if status != Status::Missed {
            challenge.extend_from_slice(b", error=\"invalid_token\"");
        }
        self.info.details = status.details().into();
        if explain {
            self.response.headers.set(b"www-authenticate", &challenge);
        }
        let text = if explain { status.text() } else { "" };
        self.own(401, text.as_bytes(), Flags::default());
    }
}
