//! Service-account tokens.

use serde_json::Value;

use super::actor::Actor;
use super::error::ApiError;
use super::operations::{Operations, Target};

impl Operations {
    /// Answers the `token` subresource of a service account.
    pub(crate) fn token_request(&self, _actor: &Actor, _target: &Target, _request: Value) -> Result<Value, ApiError> {
        Err(ApiError::unavailable("the token signer has not started"))
    }
}
