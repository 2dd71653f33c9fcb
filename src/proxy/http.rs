//! HTTP: messages, codecs, and the way of a request through filters and routes.

pub(crate) mod alarm;
pub(crate) mod attempt;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod codec;
mod compressed;
pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod h1_server;
mod h2_keepalive;
pub(crate) mod h2_map;
pub(crate) mod h2_server;
pub(crate) mod headers;
pub(crate) mod info;
mod local_reply;
pub(crate) mod number;
pub(crate) mod prepare;
pub(crate) mod reply;
pub(crate) mod report;
pub(crate) mod wire;
