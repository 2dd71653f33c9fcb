//! The console: graph, health, metrics and traces, as a web page and as REST.
//!
//! It pulls live telemetry and the last spans from the proxies itself, so the pages are complete with no Prometheus and no Jaeger in
//! sight. Read-only except the few named actions. It knows nothing of how a proxy is reached: a [`telemetry::Scraper`] is handed in.

pub mod graph;
pub mod health;
pub mod server;
pub mod telemetry;
pub mod traces;

pub use server::{Console, ConsoleOptions};
