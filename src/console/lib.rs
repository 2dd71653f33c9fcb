//! The console: graph, health, metrics and traces, as a web page and as REST.
//!
//! Read-only except the few named actions.
