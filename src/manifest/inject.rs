//! Sidecar and gateway injection: one pod in, a JSON patch out.
//!
//! The order is Istio's: decide whether the pod takes part ([`decision`]), undo what an earlier injection left so that a
//! second pass changes nothing ([`reinjection`]), add what the chosen templates bring ([`sidecar`], [`gateway`]), lay the user's own
//! `istio-proxy` container on top ([`overrides`]), then rewrite probes and merge metrics. Templates are code on JSON values, or the
//! operator's plain YAML ([`template`]), never text with holes.

mod capture;
mod config;
mod container;
mod decision;
mod environment;
mod gateway;
mod merge;
mod overrides;
mod patch;
mod probes;
mod prometheus;
mod proxy_config;
mod reinjection;
mod router;
mod scope;
mod sidecar;
mod status;
mod template;
mod volumes;
mod workload;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use config::{ConfigError, InjectConfig, Policy};
pub use decision::SkipReason;
pub use patch::{JsonPatchOp, diff};
pub use template::Templates;
pub(crate) use template::problem as template_problem;
pub use workload::Workload;

pub use merge::strategic as strategic_merge;
pub(crate) use router::{RouterPod, router_pod};
use scope::Scope;

/// Name of the proxy's container, as every Istio tool expects it.
pub const PROXY_CONTAINER: &str = "istio-proxy";
/// Name of the init container that installs the traffic capture.
pub const INIT_CONTAINER: &str = "istio-init";
/// Name of the init container that only checks a capture installed by a CNI plug-in.
pub const VALIDATION_CONTAINER: &str = "istio-validation";

/// One admission request, reduced to what injection looks at.
#[derive(Debug, Clone, Copy)]
pub struct PodRequest<'a> {
    /// The pod as the API server sent it.
    pub pod: &'a Value,
    /// Namespace of the request; the pod's own metadata may still lack it.
    pub namespace: &'a str,
    /// What the webhook's URL path adds, empty for the plain `/inject`.
    pub parameters: &'a WebhookParameters,
}

/// Parameters of the webhook path: `/inject/cluster/<c>/net/<n>` or `/inject/:ENV=cluster=<c>:ENV=net=<n>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookParameters {
    /// `cluster`: overrides `values.global.multiCluster.clusterName`.
    pub cluster: Option<String>,
    /// `net`: overrides `values.global.network`.
    pub network: Option<String>,
    /// Any other pair, added to the proxy's environment.
    pub environment: BTreeMap<String, String>,
}

impl WebhookParameters {
    /// Parses a webhook path. `--slash--` in a value stands for `/`. An odd trailing segment is ignored, as istiod does.
    #[must_use]
    pub fn parse(path: &str) -> Self {
        let rest = path.trim_start_matches('/').strip_prefix("inject").unwrap_or_default();
        let mut parameters = Self::default();
        if let Some(pairs) = rest.trim_start_matches('/').strip_prefix(":ENV=") {
            for (key, value) in pairs.split(":ENV=").filter_map(|pair| pair.split_once('=')) {
                parameters.set(key, &value.replace("--slash--", "/"));
            }
            return parameters;
        }
        let segments: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
        for pair in segments.chunks_exact(2) {
            parameters.set(pair[0], &pair[1].replace("--slash--", "/"));
        }
        parameters
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "cluster" => self.cluster = Some(value.to_owned()),
            "net" => self.network = Some(value.to_owned()),
            other => {
                self.environment.insert(other.to_owned(), value.to_owned());
            }
        }
    }
}

/// What to answer the API server.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Leave the pod alone, and why.
    Skip(SkipReason),
    /// Apply this patch. Empty when the pod already is as injection would make it.
    Patch(Vec<JsonPatchOp>),
}

/// Why a pod cannot be injected; the admission request is rejected with this text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InjectError {
    /// The pod object has no `spec`.
    #[error("pod has no spec; nothing can be injected")]
    NoSpec,
    /// An annotation's value is not what its key promises.
    #[error("annotation {key}: {reason}")]
    Annotation {
        /// The annotation.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// `inject.istio.io/templates` names a template that does not exist.
    #[error("injection template {name:?} does not exist; use one of {known}")]
    UnknownTemplate {
        /// The name as written.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A template of the operator's that cannot be used.
    #[error("injection template {name:?} (values.sidecarInjectorWebhook.templates): {reason}")]
    BadTemplate {
        /// The name as written.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Interception mode that the init container would refuse, which a user would learn from a pod that never starts.
    #[error(
        "interception mode {mode:?} is not known: use REDIRECT, TPROXY or NONE (annotation sidecar.istio.io/interceptionMode, or meshConfig.defaultConfig.interceptionMode)"
    )]
    UnsupportedInterception {
        /// The mode as written.
        mode: String,
    },
    /// A template of Istio that this version does not carry.
    #[error("injection template {name:?} is not supported yet; use one of {known}", known = crate::inject::KNOWN_TEMPLATES.join(", "))]
    UnsupportedTemplate {
        /// The name as written.
        name: String,
    },
}

/// Templates that `inject.istio.io/templates` can name besides the operator's own.
pub const KNOWN_TEMPLATES: [&str; 2] = ["sidecar", "gateway"];
const UNSUPPORTED_TEMPLATES: [&str; 4] = ["grpc-simple", "grpc-agent", "waypoint", "kube-gateway"];

/// Decides about one pod and builds its patch.
///
/// # Errors
/// When the pod asks for something impossible: an annotation that does not parse, an unknown template.
pub fn inject(request: &PodRequest<'_>, config: &InjectConfig) -> Result<Decision, InjectError> {
    if let Some(reason) = decision::skip(request.pod, request.namespace, config) {
        return Ok(Decision::Skip(reason));
    }
    let injected = injected_pod(request, config)?;
    Ok(Decision::Patch(diff(request.pod, &injected)))
}

/// The pod as it will be after injection, whatever the decision says (`kube-inject` uses it on templates).
///
/// # Errors
/// As [`inject`].
pub fn injected_pod(request: &PodRequest<'_>, config: &InjectConfig) -> Result<Value, InjectError> {
    if !request.pod.get("spec").is_some_and(Value::is_object) {
        return Err(InjectError::NoSpec);
    }
    let (stripped, earlier) = reinjection::strip(request.pod)?;
    let scope = Scope::new(&stripped, request, config)?;
    volumes::check_annotations(&scope)?;
    let mode = scope.interception_mode();
    if !matches!(mode.as_str(), "REDIRECT" | "TPROXY" | "NONE") {
        return Err(InjectError::UnsupportedInterception { mode });
    }
    let (mut pod, own) = overrides::take(&stripped, &earlier);
    let before = pod.clone();
    for template in templates(&scope, config)? {
        match template {
            Template::Sidecar => sidecar::apply(&mut pod, &scope),
            Template::Gateway => gateway::apply(&mut pod, &scope),
            Template::Own(overlay) => template::apply(&mut pod, overlay),
        }
    }
    overrides::apply(&mut pod, &own);
    if probes::wanted(&scope) {
        probes::rewrite(&mut pod, &scope, &earlier);
    }
    prometheus::merge(&mut pod, &scope, &earlier);
    sidecar::order_containers(&mut pod, &scope);
    status::write(&mut pod, &before, &scope);
    Ok(pod)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Template<'t> {
    Sidecar,
    Gateway,
    Own(&'t Value),
}

fn templates<'t>(scope: &Scope<'_>, config: &'t InjectConfig) -> Result<Vec<Template<'t>>, InjectError> {
    let named: Vec<String> = match scope.annotation("inject.istio.io/templates") {
        Some(list) => {
            list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
        None => config.default_templates.clone(),
    };
    named
        .into_iter()
        .map(|name| match name.as_str() {
            "sidecar" => Ok(Template::Sidecar),
            "gateway" => Ok(Template::Gateway),
            other if UNSUPPORTED_TEMPLATES.contains(&other) => Err(InjectError::UnsupportedTemplate { name }),
            other => match config.templates.get(other) {
                Some(Ok(overlay)) => Ok(Template::Own(overlay)),
                Some(Err(reason)) => Err(InjectError::BadTemplate { name, reason: reason.clone() }),
                None => {
                    let own = config.templates.keys().map(String::as_str);
                    let known: Vec<&str> = KNOWN_TEMPLATES.into_iter().chain(own).collect();
                    Err(InjectError::UnknownTemplate { known: known.join(", "), name })
                }
            },
        })
        .collect()
}
