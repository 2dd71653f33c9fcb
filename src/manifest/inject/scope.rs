//! Everything a template reads about one pod: metadata, owner, merged proxy config, values.

use serde_json::{Map, Value};

use super::config::InjectConfig;
use super::proxy_config::{self, Target};
use super::workload::Workload;
use super::{InjectError, PodRequest, WebhookParameters};

/// The inputs of one injection (or of one rendered gateway), resolved once.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) labels: Map<String, Value>,
    pub(crate) annotations: Map<String, Value>,
    pub(crate) containers: Vec<Value>,
    pub(crate) namespace: &'a str,
    pub(crate) workload: Workload,
    pub(crate) values: &'a Value,
    pub(crate) mesh: &'a Value,
    /// Mesh `defaultConfig` with ProxyConfigs and the pod's `proxy.istio.io/config` merged over it.
    pub(crate) proxy_config: Value,
    pub(crate) revision: &'a str,
    pub(crate) parameters: &'a WebhookParameters,
    pub(crate) injected_annotations: &'a Map<String, Value>,
    pub(crate) native_sidecar: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        pod: &Value,
        request: &PodRequest<'a>,
        config: &'a InjectConfig,
    ) -> Result<Self, InjectError> {
        let object =
            |pointer: &str| pod.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        let annotations = object("/metadata/annotations");
        let overlay = annotations.get("proxy.istio.io/config").and_then(Value::as_str);
        let labels = object("/metadata/labels");
        let target =
            Target { namespace: request.namespace, root_namespace: root_namespace(config), labels: &labels };
        let mut scope = Self {
            proxy_config: proxy_config::merged(&config.mesh, &config.proxy_configs, target, overlay)?,
            labels,
            containers: pod
                .pointer("/spec/containers")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            namespace: request.namespace,
            workload: Workload::of(pod),
            values: &config.values,
            mesh: &config.mesh,
            revision: &config.revision,
            parameters: request.parameters,
            injected_annotations: &config.injected_annotations,
            native_sidecar: config.native_sidecars,
            annotations,
        };
        if let Some(wish) = scope.switch("sidecar.istio.io/nativeSidecar")? {
            scope.native_sidecar = wish;
        }
        scope.check_numbers()?;
        Ok(scope)
    }

    /// An annotation of the pod.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).and_then(Value::as_str)
    }

    /// A label of the pod that is not empty.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    /// A value at a JSON pointer below the installation's values.
    pub(crate) fn value(&self, pointer: &str) -> Option<&Value> {
        self.values.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A value as text; numbers and booleans are written out, an empty string counts as absent.
    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        self.value(pointer).map(scalar).filter(|text| !text.is_empty())
    }

    /// A boolean value; absent is false.
    pub(crate) fn flag(&self, pointer: &str) -> bool {
        self.value(pointer)
            .is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"))
    }

    /// Annotation, else value, else default: the order of every setting a pod can override.
    pub(crate) fn setting(&self, annotation: &str, pointer: &str, default: &str) -> String {
        self.annotation(annotation)
            .map(str::to_owned)
            .or_else(|| self.text(pointer))
            .unwrap_or_else(|| default.to_owned())
    }

    /// `proxyMetadata` as name and text.
    pub(crate) fn proxy_metadata(&self) -> impl Iterator<Item = (&str, String)> {
        let metadata = self.proxy_config.get("proxyMetadata").and_then(Value::as_object);
        metadata.into_iter().flatten().map(|(name, value)| (name.as_str(), scalar(value)))
    }

    /// REDIRECT, TPROXY or NONE.
    pub(crate) fn interception_mode(&self) -> String {
        let configured = self.proxy_config.get("interceptionMode").and_then(Value::as_str);
        self.annotation("sidecar.istio.io/interceptionMode")
            .or(configured)
            .unwrap_or("REDIRECT")
            .to_uppercase()
    }

    /// Port of the proxy's merged status server; `0` switches probes off.
    pub(crate) fn status_port(&self) -> String {
        let configured = self.proxy_config.get("statusPort").map(scalar);
        match self.annotation("status.sidecar.istio.io/port") {
            Some(port) => port.to_owned(),
            None => configured
                .or_else(|| self.text("/global/proxy/statusPort"))
                .unwrap_or_else(|| "15020".to_owned()),
        }
    }

    /// The status port as a number, 15020 when probes are switched off.
    pub(crate) fn status_port_number(&self) -> u16 {
        self.status_port().parse().ok().filter(|port| *port != 0).unwrap_or(15020)
    }

    /// Namespace of the control plane.
    pub(crate) fn istio_namespace(&self) -> String {
        self.text("/global/istioNamespace").unwrap_or_else(|| "istio-system".to_owned())
    }

    /// The app starts only after the proxy is ready (classic sidecars).
    pub(crate) fn hold_application(&self) -> bool {
        let configured = self.proxy_config.get("holdApplicationUntilProxyStarts").and_then(Value::as_bool);
        configured.unwrap_or_else(|| self.flag("/global/proxy/holdApplicationUntilProxyStarts"))
    }

    /// A boolean annotation.
    fn switch(&self, key: &str) -> Result<Option<bool>, InjectError> {
        match self.annotation(key) {
            None | Some("") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(InjectError::Annotation {
                key: key.to_owned(),
                reason: format!("{other:?} is neither \"true\" nor \"false\""),
            }),
        }
    }

    /// Annotations that end up in integer fields: a pod with a bad one would be refused later with a worse message.
    fn check_numbers(&self) -> Result<(), InjectError> {
        let keys = [
            "status.sidecar.istio.io/port",
            "readiness.status.sidecar.istio.io/initialDelaySeconds",
            "readiness.status.sidecar.istio.io/periodSeconds",
            "readiness.status.sidecar.istio.io/failureThreshold",
        ];
        for key in keys {
            if let Some(text) = self.annotation(key)
                && text.parse::<u16>().is_err()
            {
                let reason = format!("{text:?} is not a number between 0 and 65535");
                return Err(InjectError::Annotation { key: key.to_owned(), reason });
            }
        }
        Ok(())
    }
}

/// `rootNamespace` of the mesh, by default that of the control plane.
fn root_namespace(config: &InjectConfig) -> &str {
    let said = [config.mesh.get("rootNamespace"), config.values.pointer("/global/istioNamespace")];
    let mut names = said.into_iter().flatten().filter_map(Value::as_str);
    names.find(|name| !name.is_empty()).unwrap_or("istio-system")
}

/// A JSON scalar as text.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
