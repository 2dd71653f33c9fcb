//! Update, patch and apply: read, change, admit, validate, and store if nobody was faster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::create::{Ownership, decode, decode_applied};
use super::{Operations, Outcome, Target, WriteOptions};
use crate::api_client::PatchKind;
use crate::api_client::resource::is_deleting;
use crate::apiserver::actor::Actor;
use crate::apiserver::admission::{self, Review};
use crate::apiserver::error::ApiError;
use crate::apiserver::store::Decision;
use crate::apiserver::{kinds, managed_fields, object_meta, patch, validation};

/// How long a change that is not made for one state of the object is tried against concurrent writers; a Kubernetes API server
/// gives a request as much.
const PATIENCE: Duration = Duration::from_secs(34);

/// A patch other than apply.
#[derive(Clone, Debug)]
pub(crate) struct PatchBody {
    pub(crate) kind: PatchKind,
    pub(crate) patch: Value,
}

/// How the object is to change.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Replace(Value),
    Patch(PatchBody),
    Apply(Value),
}

/// A change applied to one state of the object.
struct Changed {
    object: Value,
    warnings: Vec<String>,
    /// Field ownership, when apply computed it.
    applied: Option<Value>,
}

enum Attempt {
    Done(Outcome),
    Retry,
}

impl Operations {
    /// Changes an object; apply creates it when it is missing.
    pub(crate) async fn modify(
        &self,
        actor: &Actor,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
    ) -> Result<Outcome, ApiError> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.store.get(&target.definition.table, &target.key()) {
                Some(current) => {
                    if let Attempt::Done(outcome) =
                        self.modify_once(actor, target, change, options, &current).await?
                    {
                        return Ok(outcome);
                    }
                }
                None => match change {
                    Change::Apply(object) if target.subresource.is_empty() => {
                        match self.create_by_apply(actor, target, object, options).await {
                            Err(error) if error.is_already_exists() => {}
                            result => return result,
                        }
                    }
                    _ => return Err(target.not_found()),
                },
            }
        }
        Err(ApiError::modified(&target.definition.reference, &target.name))
    }

    async fn create_by_apply(
        &self,
        actor: &Actor,
        target: &Target,
        object: &Value,
        options: &WriteOptions,
    ) -> Result<Outcome, ApiError> {
        let mut object = object.clone();
        object_meta::check_type(target, &mut object)?;
        object_meta::check_identity(target, &mut object)?;
        let warnings = decode_applied(target, &mut object, options)?;
        if !object["metadata"]["resourceVersion"].is_null() {
            return Err(target.not_found());
        }
        let applied =
            managed_fields::apply(target, None, &object, options.manager_for(actor), options.force)?;
        self.create_decoded(
            actor,
            target,
            applied.object,
            options,
            warnings,
            Ownership::Applied(applied.entries),
        )
        .await
    }

    async fn modify_once(
        &self,
        actor: &Actor,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
        current: &Arc<Value>,
    ) -> Result<Attempt, ApiError> {
        let seen = kinds::in_version(target, current);
        let changed = self.change(actor, target, change, options, &seen)?;
        let Changed { mut object, mut warnings, applied } = changed;
        check_version(target, &object, current)?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            object_meta::prepare_update(metadata, current);
        }
        check_uid(target, change, current)?;
        kinds::prepare_update(target, &mut object, &seen);
        kinds::apply_defaults(target, &mut object);
        let review = Review { actor, target, operation: "UPDATE", old: Some(&seen), options };
        admission::admit_builtin_update(self, &review, &mut object)?;
        self.call_mutating_webhooks(&review, &mut object, &mut warnings).await?;
        kinds::apply_defaults(target, &mut object);
        self.allocate_for_update(target, &seen, &mut object)?;
        let modified =
            self.finish_change(&review, &seen, current, Changed { object, warnings, applied }).await;
        // What was allotted for a change that does not count is free again.
        if options.dry_run || !matches!(modified, Ok(Attempt::Done(_))) {
            self.release_after_failure(target);
        }
        modified
    }

    /// From the object that admission let through to the stored one.
    async fn finish_change(
        &self,
        review: &Review<'_>,
        seen: &Value,
        current: &Arc<Value>,
        changed: Changed,
    ) -> Result<Attempt, ApiError> {
        let Review { actor, target, options, .. } = *review;
        let Changed { mut object, mut warnings, applied } = changed;
        kinds::bump_generation(target, &mut object, seen);
        match applied {
            Some(entries) => managed_fields::set_entries(&mut object, entries),
            None => {
                managed_fields::record_update(target, Some(seen), &mut object, options.manager_for(actor))
            }
        }
        self.refuse_invalid(target, validation::validate_update(self, target, &object, seen))?;
        self.call_validating_webhooks(review, Some(&object), &mut warnings).await?;
        self.store_change(target, options, current, object, warnings).await
    }

    async fn store_change(
        &self,
        target: &Target,
        options: &WriteOptions,
        current: &Arc<Value>,
        mut object: Value,
        warnings: Vec<String>,
    ) -> Result<Attempt, ApiError> {
        object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        if options.dry_run {
            return Ok(Attempt::Done(Outcome { object: Arc::new(object), created: false, warnings }));
        }
        kinds::prepare_storage(target, &mut object, Some(current));
        let removed = is_deleting(&object) && kinds::may_go(target, &object);
        let same = !removed && managed_fields::same_but_times(&object, current);
        let mut lost = false;
        let key = target.key();
        let write = self.store.write(&target.definition.table, &key, target.durability(), |now| {
            if !now.is_some_and(|now| Arc::ptr_eq(now, current)) {
                lost = true;
                return Ok::<_, ApiError>(Decision::Keep);
            }
            Ok(match (removed, same) {
                (true, _) => Decision::Remove(object),
                (_, true) => Decision::Keep,
                _ => Decision::Put(object),
            })
        });
        let written = write.await?;
        if lost {
            return Ok(Attempt::Retry);
        }
        if written.changed {
            self.after_write(target, (!removed).then_some(&written.object));
        }
        Ok(Attempt::Done(Outcome { object: written.object, created: false, warnings }))
    }

    /// The wanted object, from the current one.
    fn change(
        &self,
        actor: &Actor,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
        current: &Value,
    ) -> Result<Changed, ApiError> {
        let (mut object, apply) = match change {
            Change::Replace(object) => (object.clone(), false),
            Change::Apply(object) => (object.clone(), true),
            Change::Patch(body) => (patch::patched(target, current, body)?, false),
        };
        object_meta::check_type(target, &mut object)?;
        object_meta::check_identity(target, &mut object)?;
        let decode = if apply { decode_applied } else { decode };
        let mut warnings = decode(target, &mut object, options)?;
        if matches!(change, Change::Patch(_)) && options.field_validation == super::FieldValidation::Ignore {
            warnings.clear();
        }
        if !apply {
            return Ok(Changed { object, warnings, applied: None });
        }
        let applied =
            managed_fields::apply(target, Some(current), &object, options.manager_for(actor), options.force)?;
        let mut merged = applied.object;
        merged["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
        Ok(Changed { object: merged, warnings, applied: Some(applied.entries) })
    }
}

/// Compares the resourceVersion of the wanted object, if it has one, with the state it is to replace. A patch that names none has
/// that of the state it was applied to, so it is never refused here; one that names an older state is, at the latest when another
/// writer was faster and it is tried again.
fn check_version(target: &Target, object: &Value, current: &Value) -> Result<(), ApiError> {
    let wanted = object["metadata"]["resourceVersion"].as_str().unwrap_or("");
    if wanted.is_empty() || wanted == "0" || Some(wanted) == current["metadata"]["resourceVersion"].as_str() {
        return Ok(());
    }
    Err(ApiError::modified(&target.definition.reference, &target.name))
}

/// A replacement meant for an earlier object of the same name is refused.
fn check_uid(target: &Target, change: &Change, current: &Value) -> Result<(), ApiError> {
    let (Change::Replace(object) | Change::Apply(object)) = change else { return Ok(()) };
    let wanted = &object["metadata"]["uid"];
    if wanted.as_str().is_none_or(str::is_empty) || *wanted == current["metadata"]["uid"] {
        return Ok(());
    }
    let why = format!(
        "Precondition failed: UID in precondition: {}, UID in object meta: {}",
        text(wanted),
        text(&current["metadata"]["uid"])
    );
    Err(ApiError::conflict(&target.definition.reference, &target.name, &why))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

impl Operations {
    /// Replaces the object whatever happened in between, without admission: for the server's own bookkeeping.
    pub(crate) async fn rewrite(&self, target: &Target, change: impl Fn(&mut Value)) -> Result<(), ApiError> {
        let key = target.key();
        let write = self.store.write(&target.definition.table, &key, target.durability(), |current| {
            let Some(current) = current else { return Ok::<_, ApiError>(Decision::Keep) };
            let mut object = (**current).clone();
            change(&mut object);
            Ok(if object == **current { Decision::Keep } else { Decision::Put(object) })
        });
        let written = write.await?;
        if written.changed {
            self.after_write(target, Some(&written.object));
        }
        Ok(())
    }

    /// `spec.replicas` and the like, for the `scale` subresource.
    pub(crate) fn set_path(object: &mut Value, path: &str, value: Value) {
        let mut node = object;
        for part in path.split('.') {
            if !node.is_object() {
                *node = json!({});
            }
            node = &mut node[part];
        }
        *node = value;
    }
}
