//! Commands about meshes of several clusters: the credential one cluster gives to another's control plane, and what a control plane
//! reads from.

pub(crate) mod create_remote_secret;
pub(crate) mod remote_clusters;
