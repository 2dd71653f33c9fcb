//! The Kubernetes API as the commands use it: objects as JSON, resources found by discovery, errors in kubectl's words.

mod control_planes;
mod discovery;
mod error;
mod forward;
mod http_get;
mod request;
mod resolve;
mod resource;
mod target;
mod warnings;
mod watch;

pub(crate) use control_planes::control_planes;
pub(crate) use discovery::Discovery;
pub(crate) use error::{is_not_found, kubectl_failure, kubectl_failure_while, server_failure};
pub(crate) use forward::forward_port;
pub(crate) use http_get::{http_get, http_pieces, http_request, http_send};
pub(crate) use request::{ApplyOptions, Objects, with_query};
pub(crate) use resolve::resolve_host;
pub(crate) use resource::{PROXY, Resource, has_proxy, list, selector_of, text};
pub(crate) use target::{PodName, pods_named, pods_selected};
pub(crate) use warnings::TellWarnings;
pub(crate) use watch::{Event, watch};
