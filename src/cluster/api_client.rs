//! The in-process client of the embedded API server, used by the controllers, the node agent and the cluster DNS.
//!
//! It takes the same path as HTTP does behind authentication: admission, defaulting, validation and the store all run, and the
//! actor is a named system user (`system:serviceaccount:kube-system:deployment-controller`, `system:node:sagene`, …). Objects are
//! shared `Arc<serde_json::Value>`s of the store: reading costs no copy.

pub mod options;
pub mod resource;

use std::sync::Arc;

use serde_json::Value;

pub use options::{
    ApplyOptions, DeleteOptions, ListOptions, ObjectList, PatchKind, Propagation, WatchOptions,
};
pub use resource::ResourceRef;

use crate::apiserver::actor::Actor;
pub use crate::apiserver::error::ApiError;
use crate::apiserver::operations::Operations;
pub(crate) use crate::apiserver::operations::{OwnerChange, OwnerEvents};
pub use crate::apiserver::watch::{ObjectWatch, WatchEvent, WatchEventType};

/// A cheap handle on the embedded API server that acts as one named system user.
///
/// In every call `namespace` is `""` for cluster-scoped kinds, and for `list` and `watch` also for "all namespaces".
#[derive(Clone)]
pub struct ApiClient {
    operations: Arc<Operations>,
    actor: Arc<Actor>,
}

impl ApiClient {
    pub(crate) fn new(operations: Arc<Operations>, actor: Actor) -> Self {
        Self { operations, actor: Arc::new(actor) }
    }

    /// The same server seen as another system user (`system:kube-scheduler`); it stays a member of `system:masters`.
    /// The last part of the name becomes the field manager of writes.
    pub fn acting_as(&self, user: &str) -> Self {
        Self { operations: self.operations.clone(), actor: Arc::new(Actor::system(user)) }
    }

    /// The object, as last written. Error: 404 `NotFound`.
    pub async fn get(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.get(resource, namespace, name)
    }

    /// The objects that match the selectors, in key order, with the revision of the list (where a watch continues).
    pub async fn list(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<ObjectList, ApiError> {
        self.operations.list_objects(resource, namespace, options)
    }

    /// Changes after `options.resource_version`, or (with none given) first every current object as `ADDED`, then changes.
    /// Error: 410 `Gone` when the revision is older than the kept history; list again then.
    pub async fn watch(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        options: &WatchOptions,
    ) -> Result<ObjectWatch, ApiError> {
        self.operations.watch_objects(resource, namespace, options)
    }

    /// Creates the object (`metadata.generateName` is honored) and returns it as stored.
    /// Errors: 409 `AlreadyExists`, 422 `Invalid`, 404 where the namespace does not exist.
    pub async fn create(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        object: Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.create_object(&self.actor, resource, namespace, object).await
    }

    /// Replaces the object without its status. With `metadata.resourceVersion` set a concurrent change is a 409 `Conflict`.
    pub async fn update(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        object: Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.update_object(&self.actor, resource, namespace, "", object).await
    }

    /// Replaces the status alone. With `metadata.resourceVersion` set a concurrent change is a 409 `Conflict`.
    pub async fn update_status(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        object: Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.update_object(&self.actor, resource, namespace, "status", object).await
    }

    /// Server-side apply: creates the object or takes over the given fields as `options.manager`.
    /// Error: 409 `Conflict` naming the fields that other managers own, unless `options.force`.
    pub async fn apply(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        object: Value,
        options: &ApplyOptions,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.apply_object(&self.actor, resource, namespace, name, object, options).await
    }

    /// JSON merge patch (RFC 7386) of the object, or of its `subresource` (`"status"`; `""` for the object itself).
    pub async fn merge_patch(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.patch(resource, namespace, name, subresource, PatchKind::Merge, patch).await
    }

    /// A patch of any kind but apply.
    pub async fn patch(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        subresource: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.patch_object(&self.actor, resource, namespace, name, subresource, kind, patch).await
    }

    /// Deletes the object: at once, or (with finalizers, or a pod with grace) by setting `metadata.deletionTimestamp`.
    /// Returns the last state. Errors: 404, 409 when a precondition does not hold.
    pub async fn delete(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        self.operations.delete_object(&self.actor, resource, namespace, name, options).await
    }

    /// The objects of any kind that name this uid as an owner, with their kinds.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(ResourceRef, Arc<Value>)> {
        self.operations.dependents(uid)
    }

    /// Kind, namespace and name of every object that names an owner.
    pub(crate) fn owned(&self) -> Vec<(ResourceRef, String, String)> {
        self.operations.owned()
    }

    /// What happens to owners from now on; only the last who asks is told.
    pub(crate) fn owner_events(&self) -> OwnerEvents {
        self.operations.owner_events()
    }

    /// What the status of a ResourceQuota or a PodDisruptionBudget should be now.
    pub(crate) fn limit_status(&self, resource: &ResourceRef, object: &Value) -> Value {
        if *resource == ResourceRef::RESOURCE_QUOTAS {
            self.operations.quota_status(object)
        } else {
            self.operations.disruption(object).status(object)
        }
    }

    /// Signs the token that a Secret of type `kubernetes.io/service-account-token` holds: good as long as the Secret and the account
    /// exist.
    pub(crate) fn secret_token(&self, secret: &Value, account: &str, uid: &str) -> Result<String, ApiError> {
        self.operations.secret_token(secret, account, uid)
    }

    /// The user behind a token.
    #[cfg(test)]
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        self.operations.check_token(token).map(|checked| checked.actor.name)
    }

    /// Signs a token of a service account, as the `token` subresource does, and returns the `TokenRequest` with its status.
    pub async fn create_token(
        &self,
        namespace: &str,
        service_account: &str,
        request: Value,
    ) -> Result<Value, ApiError> {
        self.operations.create_token(&self.actor, namespace, service_account, request).await
    }
}
