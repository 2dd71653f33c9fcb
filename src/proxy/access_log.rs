//! Access logs: what is written, when, and where to.
//!
//! Lines ([`format`], [`json`]) go to files ([`writer`]). Records ([`record`]) and entries ([`entry`]) go to services
//! ([`service`] compiles what they are told, [`remote`] hands it over).

mod entry;
pub(crate) mod format;
pub(crate) mod json;
mod record;
pub(crate) mod remote;
pub(crate) mod service;
pub(crate) mod writer;
