//! Access logs: what is written, when, and where to.

pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod writer;
