//! Container logs: files in the format of container runtimes (`TIME STREAM F LINE`), rotated by size, readable while they grow.

mod reader;
mod writer;

pub(crate) use reader::read;
pub(crate) use writer::{ContainerLog, OutputStream};
