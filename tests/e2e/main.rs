//! The main job, whole: a mesh on the embedded cluster of this machine, real processes and real traffic.
//!
//! Each case has a cluster of its own in a state directory of its own and leaves nothing behind; host ports are whatever is free.

mod bad_input;
mod dashboard;
mod flow;
mod mesh;
mod mutual_tls;
mod skew;
mod survival;

#[path = "../support/http.rs"]
mod http;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/skip.rs"]
mod skip;
