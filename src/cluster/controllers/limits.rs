//! Statuses of ResourceQuotas and PodDisruptionBudgets, which follow what happens in their namespace.

use super::Reconciled;
use super::context::Context;
use crate::api_client::ResourceRef;

/// The kinds whose status counts other objects.
pub(super) const COUNTING: [ResourceRef; 2] =
    [ResourceRef::RESOURCE_QUOTAS, ResourceRef::POD_DISRUPTION_BUDGETS];

pub(super) async fn reconcile(context: &Context, namespace: &str) -> Reconciled {
    for resource in COUNTING {
        for object in context.list(&resource, namespace).await? {
            let status = context.api.limit_status(&resource, &object);
            context.write_status(&resource, &object, status).await?;
        }
    }
    Ok(None)
}
