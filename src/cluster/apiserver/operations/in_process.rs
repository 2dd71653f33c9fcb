//! The operations as the in-process client calls them.

use std::sync::Arc;

use serde_json::Value;

use super::{Change, DeleteRequest, Operations, PatchBody, Target, WriteOptions};
use crate::api_client::{
    ApplyOptions, DeleteOptions, ListOptions, ObjectList, PatchKind, ResourceRef, WatchOptions, resource,
};
use crate::apiserver::actor::Actor;
use crate::apiserver::error::ApiError;
use crate::apiserver::watch::ObjectWatch;

impl Operations {
    fn target(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> Result<Target, ApiError> {
        let resources = self.registry.current();
        let definition =
            resources.get(&resource.group, &resource.plural).ok_or_else(ApiError::no_such_path)?;
        let namespace = if definition.reference.namespaced { namespace } else { "" };
        Ok(Target {
            definition: definition.clone(),
            version: resource.version.to_string(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }

    pub(crate) fn get(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Value>, ApiError> {
        self.read(&self.target(resource, namespace, name, "")?)
    }

    pub(crate) fn list_objects(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<ObjectList, ApiError> {
        let target = self.target(resource, namespace, "", "")?;
        let filter = self.filter(&target, &options.label_selector, &options.field_selector)?;
        let (items, resource_version) = self.select(&target, &filter);
        Ok(ObjectList { items, resource_version })
    }

    pub(crate) fn watch_objects(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        options: &WatchOptions,
    ) -> Result<ObjectWatch, ApiError> {
        let target = self.target(resource, namespace, "", "")?;
        let filter = self.filter(&target, &options.label_selector, &options.field_selector)?;
        self.watch(&target, filter, options.resource_version)
    }

    pub(crate) async fn create_object(
        &self,
        actor: &Actor,
        resource: &ResourceRef,
        namespace: &str,
        object: Value,
    ) -> Result<Arc<Value>, ApiError> {
        let target = self.target(resource, namespace, resource::name_of(&object), "")?;
        Ok(self.create(actor, &target, object, &WriteOptions::default()).await?.object)
    }

    pub(crate) async fn update_object(
        &self,
        actor: &Actor,
        resource: &ResourceRef,
        namespace: &str,
        subresource: &str,
        object: Value,
    ) -> Result<Arc<Value>, ApiError> {
        let target = self.target(resource, namespace, resource::name_of(&object), subresource)?;
        Ok(self.modify(actor, &target, &Change::Replace(object), &WriteOptions::default()).await?.object)
    }

    pub(crate) async fn apply_object(
        &self,
        actor: &Actor,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        object: Value,
        options: &ApplyOptions,
    ) -> Result<Arc<Value>, ApiError> {
        let target = self.target(resource, namespace, name, &options.subresource)?;
        let write = WriteOptions {
            manager: options.manager.clone(),
            force: options.force,
            ..WriteOptions::default()
        };
        Ok(self.modify(actor, &target, &Change::Apply(object), &write).await?.object)
    }

    #[allow(clippy::too_many_arguments, reason = "one argument per part of a patch request")]
    pub(crate) async fn patch_object(
        &self,
        actor: &Actor,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        subresource: &str,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Arc<Value>, ApiError> {
        let target = self.target(resource, namespace, name, subresource)?;
        let change = Change::Patch(PatchBody { kind, patch });
        Ok(self.modify(actor, &target, &change, &WriteOptions::default()).await?.object)
    }

    pub(crate) async fn delete_object(
        &self,
        actor: &Actor,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        let target = self.target(resource, namespace, name, "")?;
        Ok(self.delete(actor, &target, &DeleteRequest::from(options)).await?.object)
    }

    pub(crate) async fn create_token(
        &self,
        actor: &Actor,
        namespace: &str,
        service_account: &str,
        request: Value,
    ) -> Result<Value, ApiError> {
        let target = self.target(&ResourceRef::SERVICE_ACCOUNTS, namespace, service_account, "token")?;
        self.token_request(actor, &target, request)
    }
}
