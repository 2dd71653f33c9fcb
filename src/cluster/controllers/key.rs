//! What can be reconciled.

use std::fmt;

use crate::api_client::ResourceRef;

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Namespace(String),
    Deployment(String, String),
    ReplicaSet(String, String),
    StatefulSet(String, String),
    DaemonSet(String, String),
    Job(String, String),
    CronJob(String, String),
    Autoscaler(String, String),
    /// A pod, for the taints of its node.
    Tainted(String, String),
    /// A PersistentVolumeClaim.
    Claim(String, String),
    /// The quotas and disruption budgets of a namespace.
    Limits(String),
    /// A PersistentVolume.
    Volume(String),
    /// A Secret with a service account's token.
    TokenSecret(String, String),
    /// A Service, for its EndpointSlices.
    Service(String, String),
    /// An object is gone: what it owned may have to go too.
    OwnerGone {
        namespace: String,
        uid: String,
    },
    /// An object with owners: they may be gone already.
    Dependent {
        resource: ResourceRef,
        namespace: String,
        name: String,
    },
    /// An object that waits for the garbage collector before it goes.
    Leaving {
        resource: ResourceRef,
        namespace: String,
        name: String,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(formatter, "namespace {name}"),
            Self::Deployment(namespace, name) => write!(formatter, "deployment {namespace}/{name}"),
            Self::ReplicaSet(namespace, name) => write!(formatter, "replicaset {namespace}/{name}"),
            Self::StatefulSet(namespace, name) => write!(formatter, "statefulset {namespace}/{name}"),
            Self::DaemonSet(namespace, name) => write!(formatter, "daemonset {namespace}/{name}"),
            Self::Job(namespace, name) => write!(formatter, "job {namespace}/{name}"),
            Self::Claim(namespace, name) => write!(formatter, "persistentvolumeclaim {namespace}/{name}"),
            Self::Limits(namespace) => write!(formatter, "quotas and disruption budgets of {namespace}"),
            Self::Volume(name) => write!(formatter, "persistentvolume {name}"),
            Self::CronJob(namespace, name) => write!(formatter, "cronjob {namespace}/{name}"),
            Self::TokenSecret(namespace, name) => write!(formatter, "token in secret {namespace}/{name}"),
            Self::Autoscaler(namespace, name) => {
                write!(formatter, "horizontalpodautoscaler {namespace}/{name}")
            }
            Self::Tainted(namespace, name) => {
                write!(formatter, "taints of the node of pod {namespace}/{name}")
            }
            Self::Service(namespace, name) => write!(formatter, "endpoints of service {namespace}/{name}"),
            Self::OwnerGone { namespace, uid } => write!(formatter, "dependents of {uid} in {namespace:?}"),
            Self::Dependent { resource, namespace, name } => {
                write!(formatter, "owners of {} {namespace}/{name}", resource.plural)
            }
            Self::Leaving { resource, namespace, name } => {
                write!(formatter, "deletion of {} {namespace}/{name}", resource.plural)
            }
        }
    }
}
