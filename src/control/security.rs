//! Who calls, and the certificates that prove it: authority, authentication, the certificate service, TLS of our own servers.

pub(crate) mod authentication;
pub(crate) mod authorities;
pub(crate) mod authority;
pub(crate) mod certificate_service;
pub(crate) mod secret_access;
pub(crate) mod throttle;
pub(crate) mod tls;
