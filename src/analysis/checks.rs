//! The checks, one file each: what it looks for, how it reads in Istio's documentation, and its tests.

mod injection;
mod mesh_gateway_hosts;
mod mtls_conflict;
mod port_name;
mod schema;
mod selector;
mod server_verification;
mod unreachable_routes;
mod virtual_service_destination;
mod virtual_service_gateway;

use crate::code::Code;
use crate::input::Input;
use crate::message::Message;

/// One analyzer.
#[derive(Debug)]
pub struct Check {
    /// Istio's name of the analyzer, as `--analyzer` takes it.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub description: &'static str,
    /// The codes it may report.
    pub codes: &'static [Code],
    /// Finds.
    pub run: fn(&Input) -> Vec<Message>,
}

/// Every check, by name.
pub const ALL: &[Check] = &[
    selector::GATEWAY,
    injection::CHECK,
    mtls_conflict::CHECK,
    schema::CHECK,
    port_name::CHECK,
    server_verification::CHECK,
    mesh_gateway_hosts::CHECK,
    virtual_service_destination::HOST,
    virtual_service_destination::SUBSET,
    virtual_service_gateway::CHECK,
    unreachable_routes::CHECK,
];

#[cfg(test)]
pub(crate) mod testing;
