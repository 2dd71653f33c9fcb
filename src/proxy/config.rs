//! What the proxy is told to do: Envoy resources as received, and the compiled form that the workers read.
//!
//! Resources come in through [`ConfigStore::apply`], whoever sends them (discovery stream, static bootstrap, local
//! certificates). They are compiled off the request path; workers only ever see a whole, immutable [`Snapshot`].

#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod access_log;
mod assignment;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod cluster;
mod cluster_transport;
mod field;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod header_matcher;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod header_mutation;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod http_manager;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod listener;
mod load_balancing;
mod local_reply;
mod matcher;
mod network_filter;
pub(crate) mod proto;
mod rate_limit;
mod raw;
mod retry;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod route_condition;
mod route_hash;
mod route_overrides;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod route_table;
mod san;
mod snapshot;
mod socket_options;
mod source_addresses;
mod store;
pub mod type_url;
mod typed_struct;
mod update;
#[allow(deprecated, reason = "older field forms are still sent by control planes and must be read")]
mod upstream_limits;

pub use assignment::{Assignment, Endpoint};
pub(crate) use cluster::HttpVersion;
pub use cluster::{Cluster, Discovery};
pub(crate) use cluster_transport::Transport;
pub(crate) use field::{FieldError, Within, is_said, refuse_fields, refuse_if};
pub(crate) use header_matcher::HeaderMatch;
pub(crate) use header_mutation::{
    FilterMutations, Mutation, Mutations, apply as apply_mutations, compile_added,
};
pub(crate) use http_manager::{
    ClientCertDetails, Codec, HttpFilter, HttpManager, RouteSource, fraction_or_none,
};
pub(crate) use listener::{ChainQuery, Terminal};
pub use listener::{Direction, FilterChain, Listener};
pub(crate) use load_balancing::LbPolicy;
pub(crate) use matcher::{Cidr, Fraction, TextMatch, compile_regex, compile_search_regex};
pub(crate) use network_filter::{TcpProxy, Tunnel};
pub(crate) use rate_limit::{Descriptor, Entries, RateLimitFacts, RateLimitRule, RulePlace};
pub use raw::{Origin, RawResource, RefusedVersion, ResourceState};
pub(crate) use retry::{AttemptFailure, RetryPolicy};
pub(crate) use route_condition::{RouteCondition, RouteQuery, split_query};
pub(crate) use route_hash::HashSource;
pub(crate) use route_overrides::Overrides;
pub use route_table::RouteTable;
pub(crate) use route_table::{Action, Forward, HostRewrite, Redirect, Route, VirtualHost, without_port};
pub(crate) use san::SanMatch;
pub use snapshot::{ClusterView, Snapshot};
pub(crate) use socket_options::SocketOption;
pub use store::ConfigStore;
pub(crate) use typed_struct::unwrap as unwrap_typed_struct;
pub use update::{Rejection, Update, Wanted};
pub(crate) use upstream_limits::{Keepalive, Outlier, Thresholds};
