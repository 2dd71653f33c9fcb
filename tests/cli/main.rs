//! Whole commands against a real API server: exit code, stdout, stderr.
//!
//! Each case has a server of its own on a port the kernel chose, and never sees an ambient kubeconfig.

mod analyze;
mod bug_report;
mod completion;
mod install;
mod kubectl;
mod no_threads;
mod offline;
#[path = "../support/program.rs"]
mod program;
mod server;
#[path = "../support/skip.rs"]
mod skip;
mod workload;
