//! Filters on real sockets: configuration in, requests through a running proxy, bytes out.

mod harness;
mod jwt_authn;
mod local_ratelimit;
