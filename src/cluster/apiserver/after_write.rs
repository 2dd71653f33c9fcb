//! What the server itself does when certain objects were stored or removed.

use std::sync::Arc;

use serde_json::Value;

use super::error::ApiError;
use super::kinds::kind_key;
use super::operations::{Operations, Target};
use super::registry::custom;
use super::store::{Decision, Durability, ObjectKey, TableName};
use crate::api_client::resource::{name_of, namespace_of};

impl Operations {
    /// After a write; `object` is `None` when it was removed.
    pub(crate) fn after_write(&self, target: &Target, object: Option<&Arc<Value>>) {
        match kind_key(target) {
            ("", "services") => self
                .services
                .settle(&format!("{}/{}", target.namespace, target.name), object.map(|object| &**object)),
            ("apiextensions.k8s.io", "customresourcedefinitions") => {
                if let Some(definition) = object.and_then(|crd| custom::definition(crd)) {
                    self.registry.establish(definition);
                }
            }
            _ => {}
        }
    }

    /// After a removal; `last` is the last state. The objects of a removed CRD go with it.
    pub(crate) async fn after_removal(&self, target: &Target, last: &Value) -> Result<(), ApiError> {
        if kind_key(target) != ("apiextensions.k8s.io", "customresourcedefinitions") {
            return Ok(());
        }
        let (group, plural) = (
            last["spec"]["group"].as_str().unwrap_or(""),
            last["spec"]["names"]["plural"].as_str().unwrap_or(""),
        );
        self.registry.withdraw(group, plural);
        let table: TableName = format!("{group}/{plural}").into();
        let (objects, _) = self.store.list(&table, "");
        for object in objects {
            let key = ObjectKey::new(namespace_of(&object), name_of(&object));
            let removal = self.store.write(&table, &key, Durability::Lazy, |current| {
                Ok::<_, ApiError>(
                    current.map_or(Decision::Keep, |current| Decision::Remove((**current).clone())),
                )
            });
            removal.await?;
        }
        Ok(())
    }

    /// Brings memory that is derived from objects up to date after the store was opened.
    pub(crate) fn restore(&self) {
        for crd in self.store.list("apiextensions.k8s.io/customresourcedefinitions", "").0 {
            match custom::definition(&crd) {
                Some(definition) => self.registry.establish(definition),
                None => {
                    tracing::warn!(name = name_of(&crd), "this CustomResourceDefinition cannot be served")
                }
            }
        }
        for service in self.store.list("/services", "").0 {
            self.services.remember(&service);
        }
    }
}
