//! One pod on this node: its sandbox, volumes and containers, from binding to removal.

mod command;
mod container_runner;
mod context;
mod ephemeral;
mod identity_files;
mod leave;
mod sandbox;
mod status;
mod status_writer;
mod termination;
mod worker;

pub(crate) use context::{NodeServices, PodContext, Stop};
pub(crate) use worker::run;
