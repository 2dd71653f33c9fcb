//! The filters that judge or change a request on its way.

pub(crate) mod cors;
pub(crate) mod fault;
pub(crate) mod peer_metadata;
pub(crate) mod rbac;
