//! Every operation on objects, the same for HTTP and for the in-process client: resolve, admit, default, validate, store.

mod create;
mod delete;
mod in_process;
mod modify;
mod ownership;

use std::sync::Arc;

use serde_json::Value;

use super::actor::Actor;
use super::admission::WebhookClients;
use super::error::ApiError;
use super::registry::{Registry, ResourceDefinition, VersionDefinition};
use super::selector::{FieldSelector, Filter, LabelSelector};
use super::services::ServiceAllocator;
use super::store::{Durability, ObjectKey, Store, StoreError};
use super::tokens::TokenKeys;
use super::watch::ObjectWatch;
use crate::pod_runtime::PodRuntimeHandle;

pub(crate) use delete::DeleteRequest;
pub(crate) use modify::{Change, PatchBody};
pub(crate) use ownership::{OwnerChange, OwnerEvents};

/// What an operation is about.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) definition: Arc<ResourceDefinition>,
    /// The version of the request.
    pub(crate) version: String,
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

impl Target {
    pub(crate) fn version_definition(&self) -> &VersionDefinition {
        self.definition.version_or_storage(&self.version)
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace, &self.name)
    }

    pub(crate) fn api_version(&self) -> String {
        self.definition.api_version(&self.version)
    }

    pub(crate) fn durability(&self) -> Durability {
        let lazy =
            matches!(&*self.definition.reference.plural, "events" | "leases") && !self.definition.custom;
        if lazy { Durability::Lazy } else { Durability::Acknowledged }
    }

    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.definition.reference, &self.name)
    }
}

/// What becomes of unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How a write is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Everything but storing.
    pub(crate) dry_run: bool,
    /// Field manager; empty: derived from the actor.
    pub(crate) manager: String,
    /// Take over conflicting fields (apply only).
    pub(crate) force: bool,
    pub(crate) field_validation: FieldValidation,
}

impl WriteOptions {
    pub(crate) fn manager_for<'a>(&'a self, actor: &'a Actor) -> &'a str {
        match (self.manager.as_str(), actor.manager.as_str()) {
            ("", "") => "unknown",
            ("", manager) => manager,
            (manager, _) => manager,
        }
    }
}

/// What an operation did.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) object: Arc<Value>,
    pub(crate) created: bool,
    /// For `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// Everything operations need. One per server.
pub(crate) struct Operations {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Arc<Registry>,
    /// Held while an object is counted against a quota.
    pub(crate) quota_lock: tokio::sync::Mutex<()>,
    pub(crate) services: ServiceAllocator,
    pub(crate) webhooks: WebhookClients,
    pub(crate) tokens: TokenKeys,
    /// Who measures what pods use.
    pub(crate) pod_runtime: PodRuntimeHandle,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotDurable(trouble) | StoreError::NotYetDurable(trouble) if trouble.full => {
                ApiError::new(507, "InsufficientStorage", error.to_string())
            }
            StoreError::NotDurable(_) | StoreError::NotYetDurable(_) => ApiError::internal(error),
            StoreError::Closed => ApiError::unavailable(error.to_string()),
        }
    }
}

impl Operations {
    pub(crate) fn new(
        store: Arc<Store>,
        tokens: TokenKeys,
        dual_stack: bool,
        pod_runtime: PodRuntimeHandle,
    ) -> Self {
        let operations = Self {
            store,
            registry: Arc::new(Registry::new()),
            quota_lock: tokio::sync::Mutex::new(()),
            services: ServiceAllocator::new(dual_stack),
            webhooks: WebhookClients::default(),
            tokens,
            pod_runtime,
        };
        operations.restore();
        operations
    }

    /// One object, in its stored version.
    pub(crate) fn find(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.store.get(&format!("{group}/{plural}"), &ObjectKey::new(namespace, name))
    }

    pub(crate) fn read(&self, target: &Target) -> Result<Arc<Value>, ApiError> {
        if target.definition.measured {
            let mut measured = self.measured(target).into_iter();
            let found = measured.find(|object| object["metadata"]["name"] == target.name);
            return found.ok_or_else(|| target.not_found());
        }
        self.store.get(&target.definition.table, &target.key()).ok_or_else(|| target.not_found())
    }

    /// The parsed selectors of a list or watch.
    pub(crate) fn filter(&self, target: &Target, labels: &str, fields: &str) -> Result<Filter, ApiError> {
        let selectable = &target.version_definition().selectable_fields;
        let labels = LabelSelector::parse(labels)?;
        let fields = FieldSelector::parse(fields, |path| selectable.iter().any(|known| known == path))?;
        Ok(Filter { namespace: target.namespace.clone(), labels, fields })
    }

    /// Matching objects in key order and the revision of the list.
    pub(crate) fn select(&self, target: &Target, filter: &Filter) -> (Vec<Arc<Value>>, u64) {
        if target.definition.measured {
            let revision = self.store.revision();
            let measured = self.measured(target).into_iter();
            return (measured.filter(|object| filter.matches(object)).collect(), revision);
        }
        if let (Some(name), false) = (filter.fields.exact_name(), target.namespace.is_empty()) {
            let revision = self.store.revision();
            let found = self.store.get(&target.definition.table, &ObjectKey::new(&target.namespace, name));
            return (found.into_iter().filter(|object| filter.matches(object)).collect(), revision);
        }
        let (mut objects, revision) = self.store.list(&target.definition.table, &target.namespace);
        objects.retain(|object| filter.matches(object));
        (objects, revision)
    }

    pub(crate) fn watch(
        &self,
        target: &Target,
        filter: Filter,
        revision: Option<u64>,
    ) -> Result<ObjectWatch, ApiError> {
        ObjectWatch::start(self.store.clone(), target.definition.table.clone(), filter, revision)
    }
}
