//! Delete: preconditions, grace, finalizers, propagation; and delete of a collection.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Operations, Outcome, Target, WriteOptions};
use crate::api_client::resource::{is_deleting, name_of, namespace_of};
use crate::api_client::{DeleteOptions, Propagation};
use crate::apiserver::actor::Actor;
use crate::apiserver::admission::Review;
use crate::apiserver::error::ApiError;
use crate::apiserver::selector::Filter;
use crate::apiserver::store::Decision;
use crate::apiserver::{kinds, object_meta};

/// How a delete is done.
pub(crate) type DeleteRequest = DeleteOptions;

impl From<&DeleteOptions> for DeleteRequest {
    fn from(options: &DeleteOptions) -> Self {
        options.clone()
    }
}

/// What the delete does to one state of the object.
enum Fate {
    Remove(Value),
    Wait(Value),
    Unchanged,
}

impl Operations {
    /// Deletes one object and returns its last state.
    pub(crate) async fn delete(
        &self,
        actor: &Actor,
        target: &Target,
        request: &DeleteRequest,
    ) -> Result<Outcome, ApiError> {
        let current = self.read(target)?;
        check_preconditions(target, &current, request)?;
        kinds::check_delete(target)?;
        let seen = kinds::in_version(target, &current);
        let options = WriteOptions { dry_run: request.dry_run, ..WriteOptions::default() };
        let review = Review { actor, target, operation: "DELETE", old: Some(&seen), options: &options };
        let mut warnings = Vec::new();
        let mut none = Value::Null;
        self.call_mutating_webhooks(&review, &mut none, &mut warnings).await?;
        self.call_validating_webhooks(&review, None, &mut warnings).await?;
        if request.dry_run {
            return Ok(Outcome { object: current, created: false, warnings });
        }
        let mut removed = false;
        let key = target.key();
        let write = self.store.write(&target.definition.table, &key, target.durability(), |now| {
            let now = now.ok_or_else(|| target.not_found())?;
            check_preconditions(target, now, request)?;
            Ok::<_, ApiError>(match fate(target, now, request) {
                Fate::Remove(last) => {
                    removed = true;
                    Decision::Remove(last)
                }
                Fate::Wait(object) => Decision::Put(object),
                Fate::Unchanged => Decision::Keep,
            })
        });
        let written = write.await?;
        if written.changed {
            self.after_write(target, (!removed).then_some(&written.object));
            if removed {
                self.after_removal(target, &written.object).await?;
            }
        }
        Ok(Outcome { object: written.object, created: false, warnings })
    }

    /// Deletes what matches, and returns it.
    pub(crate) async fn delete_collection(
        &self,
        actor: &Actor,
        target: &Target,
        filter: &Filter,
        request: &DeleteRequest,
    ) -> Result<Vec<Arc<Value>>, ApiError> {
        let (objects, _) = self.select(target, filter);
        let mut deleted = Vec::new();
        for object in objects {
            let mut one = target.clone();
            one.namespace = namespace_of(&object).to_owned();
            one.name = name_of(&object).to_owned();
            match self.delete(actor, &one, request).await {
                Ok(outcome) => deleted.push(outcome.object),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }
}

fn check_preconditions(target: &Target, current: &Value, request: &DeleteRequest) -> Result<(), ApiError> {
    let metadata = &current["metadata"];
    let checks = [
        ("UID", &request.precondition_uid, &metadata["uid"]),
        ("ResourceVersion", &request.precondition_resource_version, &metadata["resourceVersion"]),
    ];
    for (what, wanted, actual) in checks {
        if let Some(wanted) = wanted
            && actual.as_str() != Some(wanted.as_str())
        {
            let actual = actual.as_str().unwrap_or("");
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}"
            );
            return Err(ApiError::conflict(&target.definition.reference, &target.name, &why));
        }
    }
    Ok(())
}

fn fate(target: &Target, current: &Value, request: &DeleteRequest) -> Fate {
    let mut object = current.clone();
    let grace = kinds::delete_grace(target, current, request.grace_period_seconds);
    let finalizer = match request.propagation {
        Some(Propagation::Foreground) => Some("foregroundDeletion"),
        Some(Propagation::Orphan) => Some("orphan"),
        _ => None,
    };
    if let Some(finalizer) = finalizer {
        add_finalizer(&mut object, finalizer);
    }
    let waits = grace > 0 || !kinds::without_finalizers(target, &object);
    if !waits {
        if !is_deleting(&object) && target.definition.is(&crate::api_client::ResourceRef::PODS) {
            mark(&mut object, 0);
        }
        return Fate::Remove(object);
    }
    if is_deleting(current) {
        let shortened =
            object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|old| grace < old);
        if shortened {
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
        return if object == *current { Fate::Unchanged } else { Fate::Wait(object) };
    }
    mark(&mut object, grace);
    kinds::mark_terminating(target, &mut object);
    Fate::Wait(object)
}

fn mark(object: &mut Value, grace: i64) {
    object["metadata"]["deletionTimestamp"] = json!(object_meta::time_in(grace));
    object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = json!(generation + 1);
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    if !finalizers.is_array() {
        *finalizers = json!([]);
    }
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|one| one == finalizer)
    {
        list.push(json!(finalizer));
    }
}
