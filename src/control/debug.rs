//! Debug views: `/debug/<name>` over HTTP, and the types `istio.io/debug`, `istio.io/debug/syncz` and `istio.io/debug/config_dump` over
//! discovery.
//!
//! Who may see what: from this host everything; over the network an authenticated identity of the control plane's or root namespace
//! everything, any other only `config_dump`, `ndsz` and `edsz` of its own namespace's proxies.

use bytes::Bytes;
use sagene_model::Identity;
use sagene_xds::type_url;
use serde_json::Value;
use thiserror::Error;
use tonic::Status;

use crate::discovery::{Discovery, Peer};

mod config_dump;
pub(crate) mod http;
pub(crate) mod scopes;
mod state;
mod syncz;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Viewer {
    /// Somebody on this host.
    Local,
    /// An authenticated identity.
    Identity(Identity),
}

/// Why there is no view.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ViewError {
    /// No such view.
    #[error("no debug view {0:?}; ask for `list`")]
    Unknown(String),
    /// The viewer must not see it.
    #[error("{viewer} may see config_dump, edsz and ndsz of proxies in its own namespace only")]
    Forbidden {
        /// Who asked.
        viewer: String,
    },
    /// The view is of one proxy.
    #[error("{0} needs the parameter proxyID (pod.namespace)")]
    NoProxy(String),
    /// That proxy is not here.
    #[error("proxy {0:?} is not connected to this control plane")]
    UnknownProxy(String),
}

/// A question: name of the view and parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) view: String,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Question {
    /// From `name?key=value&…`.
    pub(crate) fn parse(text: &str) -> Self {
        let (view, query) = text.split_once('?').unwrap_or((text, ""));
        let parameters = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { view: view.trim_matches('/').to_owned(), parameters }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Views of one proxy, which its own namespace may see.
const OF_ONE_PROXY: [&str; 3] = ["config_dump", "edsz", "ndsz"];

/// Answers a question with JSON.
pub(crate) fn view(discovery: &Discovery, viewer: &Viewer, question: &Question) -> Result<Value, ViewError> {
    let name = question.view.as_str();
    check(discovery, viewer, question)?;
    if OF_ONE_PROXY.contains(&name) || name == "ecdsz" {
        let wanted = question.parameter("proxyID").filter(|id| !id.is_empty());
        let wanted = wanted.ok_or_else(|| ViewError::NoProxy(name.to_owned()))?;
        let connection = state::find(discovery, wanted);
        let connection = connection.ok_or_else(|| ViewError::UnknownProxy(wanted.to_owned()))?;
        return Ok(config_dump::view(discovery, &connection, name, question));
    }
    match name {
        "syncz" => Ok(syncz::list(discovery, question.parameter("namespace"))),
        "conditionz" => Ok(crate::writers::statuses::ineffective(discovery)),
        _ => state::view(discovery, question).ok_or_else(|| ViewError::Unknown(name.to_owned())),
    }
}

fn check(discovery: &Discovery, viewer: &Viewer, question: &Question) -> Result<(), ViewError> {
    let Viewer::Identity(identity) = viewer else { return Ok(()) };
    let options = &discovery.options;
    let root = &discovery.mesh_config.load().root_namespace;
    let namespace = &identity.namespace;
    let sees_all = !options.debug_endpoint_auth
        || namespace == root
        || *namespace == options.namespace
        || options.debug_namespaces.contains(namespace);
    let own_proxy = || {
        let id = question.parameter("proxyID").unwrap_or_default();
        OF_ONE_PROXY.contains(&question.view.as_str())
            && state::find(discovery, id).is_some_and(|connection| {
                connection.peer.proxy.as_ref().is_some_and(|proxy| proxy.namespace == *namespace)
            })
    };
    if sees_all || own_proxy() { Ok(()) } else { Err(ViewError::Forbidden { viewer: identity.to_string() }) }
}

/// Answers over discovery: encoded `google.protobuf.Any`s.
pub(crate) fn over_discovery(
    discovery: &Discovery,
    peer: &Peer,
    type_url: &str,
    names: &[String],
) -> Result<Vec<Bytes>, Status> {
    let Some(identity) = &peer.caller else {
        return Err(Status::permission_denied(
            "debug views need an authenticated identity: connect to port 15012 with a token or certificate",
        ));
    };
    let viewer = Viewer::Identity(identity.clone());
    let first = names.first().map_or("", String::as_str);
    let question = match type_url {
        type_url::DEBUG => Question::parse(first),
        type_url::DEBUG_SYNC => Question::parse("syncz"),
        _ => Question {
            view: "config_dump".to_owned(),
            parameters: vec![("proxyID".to_owned(), first.to_owned())],
        },
    };
    let status = |error: ViewError| match error {
        ViewError::Forbidden { .. } => Status::permission_denied(error.to_string()),
        ViewError::UnknownProxy(_) => Status::not_found(error.to_string()),
        _ => Status::invalid_argument(error.to_string()),
    };
    check(discovery, &viewer, &question).map_err(status)?;
    match type_url {
        type_url::DEBUG => {
            let json = view(discovery, &viewer, &question).map_err(status)?;
            Ok(vec![config_dump::any("", serde_json::to_vec(&json).unwrap_or_default())])
        }
        type_url::DEBUG_SYNC => Ok(syncz::client_configs(discovery)),
        _ => {
            let connection = state::find(discovery, first);
            let connection = connection.ok_or_else(|| status(ViewError::UnknownProxy(first.to_owned())))?;
            Ok(config_dump::sections(discovery, &connection))
        }
    }
}
