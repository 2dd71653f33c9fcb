//! The filters that judge or change a request on its way.

pub(crate) mod admission;
pub(crate) mod attribute_gen;
pub(crate) mod buffer;
pub(crate) mod cel;
#[allow(deprecated, reason = "older field forms are still copied from tutorials and must be read")]
pub(crate) mod compressor;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
pub(crate) mod cors;
pub(crate) mod ext_authz;
pub(crate) mod fault;
mod gather;
pub(crate) mod grpc_service;
mod header_mutation;
pub(crate) mod jwt_authn;
pub(crate) mod local_ratelimit;
pub(crate) mod metadata;
mod on_response;
pub(crate) mod peer_metadata;
mod rate_limit_descriptors;
pub(crate) mod ratelimit;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
pub(crate) mod rbac;
pub(crate) mod token_bucket;

#[cfg(test)]
mod tests;
