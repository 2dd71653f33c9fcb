//! Traces: which requests are traced, the spans they leave, how callers and callees join theirs, and who collects them.
//!
//! Order of the room: [`config`] compiles what the connection manager says, [`decision`] and [`context`] read the request, [`span`]
//! gathers facts, [`export`] writes them down for a collector, [`report`] sends them beside the traffic, [`recent`] keeps the last
//! ones for whoever asks the admin server.

pub(crate) mod config;
mod context;
mod decision;
mod exchange;
pub(crate) mod export;
pub(crate) mod recent;
pub(crate) mod report;
pub(crate) mod span;
pub(crate) mod tag;

#[cfg(test)]
mod tests;
