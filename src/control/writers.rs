//! What the control plane writes into the cluster: the root certificates into every namespace, and the CA bundle into its webhook
//! configurations, statuses, addresses of ServiceEntries, and the workloads of the Gateway API's Gateways.
//!
//! Everything is written by one replica, the one that holds a Lease; a feed of changes leads each write.

pub(crate) mod addresses;
pub(crate) mod gateway_classes;
pub(crate) mod gateways;
pub(crate) mod leader;
mod references;
mod refusals;
pub(crate) mod root_certificates;
pub(crate) mod statuses;
pub(crate) mod webhook_bundles;

/// Field manager of what is applied.
const MANAGER: &str = "istiod";
