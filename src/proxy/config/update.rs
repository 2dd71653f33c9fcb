//! A change of configuration, and what the proxy says about it.

use std::collections::BTreeSet;

use envoy_types::pb::google::protobuf::Any;

/// One change of resources of one type. Names that are in neither list keep their resource.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Type URL of every resource in this update (see [`super::type_url`]).
    pub type_url: String,
    /// Added or changed resources: name, version as the sender calls it, resource.
    pub upserts: Vec<(String, String, Any)>,
    /// Names of resources that are gone. Unknown names are no error.
    pub removed: Vec<String>,
}

/// Why one resource was not accepted. The last accepted version of it, if any, stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{type_url} {name:?}: {field}: {reason}")]
pub struct Rejection {
    /// Type URL of the resource.
    pub type_url: String,
    /// Name of the resource.
    pub name: String,
    /// Path of the field inside the resource, in proto names (`filter_chains[2].filters[0].typed_config`).
    pub field: String,
    /// What is wrong and what would be accepted.
    pub reason: String,
}

/// Names that the accepted resources refer to and that must come from discovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Route configurations (RDS) named by HTTP connection managers.
    pub routes: BTreeSet<String>,
    /// Endpoint assignments (EDS) named by clusters.
    pub endpoints: BTreeSet<String>,
    /// Secrets (SDS) named by TLS contexts: `default`, `ROOTCA`, `kubernetes://…`.
    pub secrets: BTreeSet<String>,
}
