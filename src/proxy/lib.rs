//! The proxy: carries traffic by Envoy's own configuration, in the order listener, filter chain, HTTP, route, cluster, endpoint.
//!
//! Knows no Kubernetes, no store and no control plane beyond its discovery stream.

mod access_log;
mod admin;
pub mod agent;
pub mod capture;
pub mod config;
pub mod dns;
mod filter;
pub mod gzip;
mod http;
mod listen;
pub mod pilot_agent;
pub mod run;
pub mod stats;
mod sys;
mod tcp;
mod tls;
mod tracing;
mod upstream;
pub mod worker;
