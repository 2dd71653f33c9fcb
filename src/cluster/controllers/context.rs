//! What all controllers work with: the API, and small readings of objects.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api_client::{ApiClient, ApiError, ListOptions, ResourceRef};
use crate::events::EventRecorder;

pub(super) struct Context {
    pub(super) api: ApiClient,
    pub(super) ca_certificate: String,
    pub(super) events: EventRecorder,
    /// Folder of the PersistentVolumes that are made on demand.
    pub(super) volumes: PathBuf,
    pub(super) tainted_since: super::taint_eviction::Since,
    pub(super) scaled: super::autoscaler::Histories,
}

impl Context {
    pub(super) fn new(api: ApiClient, ca_certificate: String, volumes: PathBuf) -> Self {
        let api = api.acting_as("system:kube-controller-manager");
        Self {
            events: EventRecorder::new(api.clone()),
            api,
            ca_certificate,
            volumes,
            tainted_since: Default::default(),
            scaled: Default::default(),
        }
    }

    /// An object; `None` where it does not exist.
    pub(super) async fn get(
        &self,
        resource: &ResourceRef,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, ApiError> {
        match self.api.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a kind in a namespace (`""` for everywhere).
    pub(super) async fn list(
        &self,
        resource: &ResourceRef,
        namespace: &str,
    ) -> Result<Vec<Arc<Value>>, ApiError> {
        Ok(self.api.list(resource, namespace, &ListOptions::default()).await?.items)
    }

    /// The objects of a kind that an object controls.
    pub(super) async fn controlled(
        &self,
        resource: &ResourceRef,
        owner: &Value,
    ) -> Result<Vec<Arc<Value>>, ApiError> {
        let uid = text(owner, "/metadata/uid");
        let all = self.list(resource, text(owner, "/metadata/namespace")).await?;
        Ok(all
            .into_iter()
            .filter(|object| controller_of(object).is_some_and(|reference| text(reference, "/uid") == uid))
            .collect())
    }

    /// Writes the status where it differs from what is there.
    pub(super) async fn write_status(
        &self,
        resource: &ResourceRef,
        object: &Value,
        status: Value,
    ) -> Result<(), ApiError> {
        if object["status"] == status {
            return Ok(());
        }
        let mut changed = object.clone();
        changed["status"] = status;
        let written = self.api.update_status(resource, text(object, "/metadata/namespace"), changed).await;
        written.map(|_| ())
    }

    /// Deletes an object of this very uid; one that is gone already is fine.
    pub(super) async fn delete(&self, resource: &ResourceRef, object: &Value) -> Result<(), ApiError> {
        let options = crate::api_client::DeleteOptions {
            precondition_uid: Some(text(object, "/metadata/uid").to_owned()),
            ..Default::default()
        };
        let deleted = self
            .api
            .delete(resource, text(object, "/metadata/namespace"), text(object, "/metadata/name"), &options)
            .await;
        match deleted {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

/// A text field, `""` where absent.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number field.
pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The owner that manages an object.
pub(super) fn controller_of(object: &Value) -> Option<&Value> {
    let references = object.pointer("/metadata/ownerReferences")?.as_array()?;
    references.iter().find(|reference| reference["controller"].as_bool() == Some(true))
}

/// A reference by which `owner` manages another object.
pub(super) fn controller_reference(resource: &ResourceRef, owner: &Value) -> Value {
    json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Now, as Kubernetes writes times.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds since a time that Kubernetes wrote.
pub(super) fn seconds_since(text: &str) -> Option<f64> {
    let then: jiff::Timestamp = text.parse().ok()?;
    Some(jiff::Timestamp::now().duration_since(then).as_secs_f64())
}

/// Puts a condition into a list: its transition time moves only when its status does.
pub(super) fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    let before = conditions.iter().position(|condition| condition["type"] == kind);
    let same = before.map(|index| &conditions[index]).filter(|known| known["status"] == status);
    let moved = same.map_or_else(|| json!(now()), |known| known["lastTransitionTime"].clone());
    let unchanged = same.filter(|known| known["reason"] == reason && known["message"] == message);
    let updated = unchanged.map_or_else(|| json!(now()), |known| known["lastUpdateTime"].clone());
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": moved,
    });
    if !updated.is_null() {
        condition["lastUpdateTime"] = updated;
    }
    match before {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
}

/// A short name for the content of a value, in letters that cannot spell words; the same for the same content.
pub(super) fn content_hash(value: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in value.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..10)
        .map(|_| {
            let letter = LETTERS[(hash % 27) as usize];
            hash /= 27;
            char::from(letter)
        })
        .collect()
}
