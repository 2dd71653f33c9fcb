//! HTTP: messages, codecs, and the way of a request through filters and routes.

pub(crate) mod headers;
pub(crate) mod info;
