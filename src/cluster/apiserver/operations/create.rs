//! Create.

use std::sync::Arc;

use serde_json::Value;

use super::{FieldValidation, Operations, Outcome, Target, WriteOptions};
use crate::apiserver::actor::Actor;
use crate::apiserver::admission::{self, Review};
use crate::apiserver::error::ApiError;
use crate::apiserver::managed_fields;
use crate::apiserver::object_meta;
use crate::apiserver::schema;
use crate::apiserver::store::Decision;
use crate::apiserver::{kinds, validation};

/// How often a generated name is tried.
const NAME_TRIES: usize = 8;

impl Operations {
    /// Creates an object.
    pub(crate) async fn create(
        &self,
        actor: &Actor,
        target: &Target,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Outcome, ApiError> {
        object_meta::check_type(target, &mut object)?;
        object_meta::check_identity(target, &mut object)?;
        let warnings = decode(target, &mut object, options)?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        self.create_decoded(actor, target, object, options, warnings, Ownership::Update).await
    }

    /// Creates from an object whose fields were checked. Server-side apply ends here too, with its own field ownership.
    pub(super) async fn create_decoded(
        &self,
        actor: &Actor,
        target: &Target,
        object: Value,
        options: &WriteOptions,
        mut warnings: Vec<String>,
        ownership: Ownership,
    ) -> Result<Outcome, ApiError> {
        self.check_namespace(target, object_meta::called(&object))?;
        let generate = object["metadata"]["name"].as_str().unwrap_or("").is_empty();
        let mut result = Err(ApiError::internal("no free name found"));
        for _ in 0..if generate { NAME_TRIES } else { 1 } {
            result =
                self.create_once(actor, target, object.clone(), options, &mut warnings, &ownership).await;
            if !(generate && result.as_ref().is_err_and(ApiError::is_already_exists)) {
                break;
            }
        }
        Ok(Outcome { object: result?, created: true, warnings })
    }

    async fn create_once(
        &self,
        actor: &Actor,
        target: &Target,
        mut object: Value,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
        ownership: &Ownership,
    ) -> Result<Arc<Value>, ApiError> {
        let name_of = |object: &Value| object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            object_meta::prepare_create(metadata);
        }
        let mut target = target.clone();
        target.name = name_of(&object);
        kinds::apply_defaults(&target, &mut object);
        admission::admit_builtin_create(self, actor, &target, &mut object)?;
        let review = Review { actor, target: &target, operation: "CREATE", old: None, options };
        self.call_mutating_webhooks(&review, &mut object, warnings).await?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            object_meta::give_name(metadata);
        }
        target.name = name_of(&object);
        kinds::prepare_create(&target, &mut object);
        kinds::apply_defaults(&target, &mut object);
        let review = Review { actor, target: &target, operation: "CREATE", old: None, options };
        match ownership {
            Ownership::Update => {
                managed_fields::record_update(&target, None, &mut object, options.manager_for(actor))
            }
            Ownership::Applied(entries) => managed_fields::set_entries(&mut object, entries.clone()),
        }
        self.refuse_invalid(&target, validation::validate_create(self, &target, &object))?;
        self.call_validating_webhooks(&review, Some(&object), warnings).await?;
        // Held until the object counts, so that two cannot both be the last that fits.
        let _counted = if self.has_quota(&target.namespace) {
            let guard = self.quota_lock.lock().await;
            self.check_quota(&target, &object)?;
            Some(guard)
        } else {
            None
        };
        self.allocate_for_create(&target, &mut object)?;
        if options.dry_run {
            self.release_after_failure(&target);
            return match self.store.get(&target.definition.table, &target.key()) {
                Some(_) => Err(ApiError::already_exists(&target.definition.reference, &target.name)),
                None => Ok(Arc::new(object)),
            };
        }
        kinds::prepare_storage(&target, &mut object, None);
        let reference = &target.definition.reference;
        let key = target.key();
        let write =
            self.store.write(&target.definition.table, &key, target.durability(), |current| match current {
                Some(_) => Err(ApiError::already_exists(reference, &target.name)),
                None => Ok(Decision::Put(object)),
            });
        let written = match write.await {
            Ok(written) => written.object,
            Err(error) => {
                self.release_after_failure(&target);
                return Err(error);
            }
        };
        self.after_write(&target, Some(&written));
        Ok(written)
    }

    pub(super) fn refuse_invalid(
        &self,
        target: &Target,
        causes: Vec<crate::apiserver::error::Cause>,
    ) -> Result<(), ApiError> {
        if causes.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid(&target.definition.reference, &target.name, causes))
        }
    }

    /// Nothing is created in a namespace that is missing or ending.
    fn check_namespace(&self, target: &Target, name: &str) -> Result<(), ApiError> {
        if !target.definition.reference.namespaced {
            return Ok(());
        }
        let namespaces = crate::api_client::ResourceRef::NAMESPACES;
        let Some(namespace) = self.find("", "namespaces", "", &target.namespace) else {
            return Err(ApiError::not_found(&namespaces, &target.namespace));
        };
        if crate::api_client::resource::is_deleting(&namespace) {
            let why = format!(
                "unable to create new content in namespace {} because it is being terminated",
                target.namespace
            );
            let mut error = ApiError::forbidden(&target.definition.reference, name, &why);
            error.details.causes.push(crate::apiserver::error::Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {} is being terminated", target.namespace),
                field: "metadata.namespace".to_owned(),
            });
            return Err(error);
        }
        Ok(())
    }
}

/// Who owns the fields of a new object.
pub(super) enum Ownership {
    /// The writer owns what is there in the end.
    Update,
    /// Server-side apply computed it.
    Applied(Value),
}

/// What is applied names its fields: one that the type does not have is an error, not a warning.
pub(super) fn decode_applied(
    target: &Target,
    object: &mut Value,
    options: &WriteOptions,
) -> Result<Vec<String>, ApiError> {
    let mut probe = object.clone();
    let unknown = schema::check_fields(&target.version_definition().schema, &mut probe).unknown;
    if let Some(field) = unknown.first() {
        let named = format!("{}/{}", target.namespace, target.name);
        let kind = &target.definition.reference.kind;
        return Err(ApiError::new(
            500,
            "",
            format!(
                "failed to create typed patch object ({named}; {}, Kind={kind}): .{field}: field not declared in schema",
                target.api_version()
            ),
        ));
    }
    decode(target, object, options)
}

/// Field validation: drops what the schema does not know and returns warnings, or refuses.
pub(super) fn decode(
    target: &Target,
    object: &mut Value,
    options: &WriteOptions,
) -> Result<Vec<String>, ApiError> {
    let report = schema::check_fields(&target.version_definition().schema, object);
    if let Some(wrong) = report.wrong_type {
        let kind = &target.definition.reference.kind;
        return Err(ApiError::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {kind}: {wrong}",
            target.version
        )));
    }
    let unknown: Vec<String> =
        report.unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    match options.field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(unknown),
        FieldValidation::Strict if unknown.is_empty() => Ok(unknown),
        FieldValidation::Strict => Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            target.definition.reference.kind,
            target.version,
            target.definition.reference.kind,
            unknown.join(", ")
        ))),
    }
}
