//! What a caller of the in-process client may ask for beside the object itself.

use std::sync::Arc;

use serde_json::Value;

/// Which objects of a kind are meant. Empty strings select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Label selector in Kubernetes' syntax: `app=web,tier in (a,b),!legacy`.
    pub label_selector: String,
    /// Field selector: `spec.nodeName=sagene,status.phase!=Failed`.
    pub field_selector: String,
}

/// Where a watch begins and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// Label selector; an object that stops matching is reported as `DELETED`.
    pub label_selector: String,
    /// Field selector; as above.
    pub field_selector: String,
    /// Revision after which changes are wanted (from `ObjectList::resource_version`). `None`: current objects first.
    pub resource_version: Option<u64>,
}

/// A list at one revision.
#[derive(Clone, Debug)]
pub struct ObjectList {
    /// The objects in key order (namespace, then name).
    pub items: Vec<Arc<Value>>,
    /// Revision of the list; `WatchOptions::resource_version` continues from here.
    pub resource_version: u64,
}

/// How a server-side apply is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// The field manager.
    pub manager: String,
    /// Take fields from other managers instead of failing with a conflict.
    pub force: bool,
    /// `""` for the object, `"status"` for its status.
    pub subresource: String,
}

impl ApplyOptions {
    /// Applies the object itself as `manager`, taking over conflicting fields.
    pub fn forced(manager: &str) -> Self {
        Self { manager: manager.to_owned(), force: true, subresource: String::new() }
    }
}

/// The kinds of patch beside server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902 operations (`application/json-patch+json`).
    Json,
    /// RFC 7386 (`application/merge-patch+json`).
    Merge,
    /// Kubernetes' strategic merge (`application/strategic-merge-patch+json`); built-in kinds only.
    StrategicMerge,
}

/// What becomes of the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes at once; the garbage collector deletes its dependents after it.
    #[default]
    Background,
    /// The object waits (finalizer `foregroundDeletion`) until its blocking dependents are gone.
    Foreground,
    /// Dependents stay and lose the owner reference (finalizer `orphan`).
    Orphan,
}

/// How a delete is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds a pod gets to end; `None` takes the pod's own `terminationGracePeriodSeconds`; 0 removes the object at once.
    pub grace_period_seconds: Option<i64>,
    /// Only delete the object with this uid.
    pub precondition_uid: Option<String>,
    /// Only delete the object at this resourceVersion.
    pub precondition_resource_version: Option<String>,
    /// `None`: the kind's default (background).
    pub propagation: Option<Propagation>,
    /// Check everything, change nothing.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Removes the object at once, whatever its grace period (what a node agent does once a pod has ended).
    pub fn immediate() -> Self {
        Self { grace_period_seconds: Some(0), ..Self::default() }
    }
}
