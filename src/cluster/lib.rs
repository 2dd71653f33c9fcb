//! The embedded cluster: a Kubernetes-compatible API server, the controllers a mesh needs and a node agent that runs pods as
//! host processes in their own network namespaces.
//!
//! Never used by the control plane or the proxy.

pub mod api_client;
pub mod apiserver;
pub mod controllers;
mod dns;
mod events;
pub mod launcher;
mod network;
mod node;
pub mod pod_runtime;
pub mod run;
pub mod samples;
mod tolerations;
