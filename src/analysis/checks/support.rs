//! What several checks need: hosts and the services behind them, pods by labels, destinations of routes, words of messages.

pub(super) mod destinations;
pub(super) mod gateways;
pub(super) mod hosts;
pub(super) mod mesh;
pub(super) mod pods;
pub(super) mod policy;
pub(super) mod selection;
pub(super) mod words;
pub(super) mod workloads;
