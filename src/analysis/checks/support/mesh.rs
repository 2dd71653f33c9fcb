//! Who belongs to the mesh: namespaces that are injected, pods with a proxy, workloads in ambient mode.

use std::collections::BTreeMap;

use sagene_api::kubernetes::{Namespace, Pod};
use sagene_api::{Object, ObjectMeta};
use sagene_model::labels::Labels;
use sagene_model::workload;

use crate::input::Input;

/// Label that enables injection for a namespace.
pub(in crate::checks) const INJECTION_LABEL: &str = "istio-injection";
/// Label that names the revision, of namespaces and pods.
pub(in crate::checks) const REVISION_LABEL: &str = "istio.io/rev";
/// Label or annotation of pods.
pub(in crate::checks) const INJECT: &str = "sidecar.istio.io/inject";
/// Label of namespaces and pods in ambient mode.
const DATA_PLANE_LABEL: &str = "istio.io/dataplane-mode";

/// What a namespace says about injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checks) enum Injection {
    /// Pods get a proxy.
    Enabled,
    /// Pods get none.
    Disabled,
    /// Nothing.
    Undecided,
    /// The node's proxy carries its traffic.
    Ambient,
}

/// What a namespace's labels say.
pub(in crate::checks) fn injection(labels: &Labels) -> Injection {
    if is_ambient(labels) {
        return Injection::Ambient;
    }
    match labels.get(INJECTION_LABEL).map(String::as_str) {
        Some("enabled") => Injection::Enabled,
        Some(_) => Injection::Disabled,
        None if labels.contains_key(REVISION_LABEL) => Injection::Enabled,
        None => Injection::Undecided,
    }
}

/// True where labels say that the workload, or all of the namespace, is in ambient mode.
pub(in crate::checks) fn is_ambient(labels: &Labels) -> bool {
    labels.get(DATA_PLANE_LABEL).is_some_and(|mode| mode == "ambient")
}

/// What a pod, or the template of pods, says about injection itself. Injectors take whatever is no yes for a no.
pub(in crate::checks) fn declared(metadata: &ObjectMeta) -> Option<bool> {
    let text = metadata.labels.get(INJECT).or_else(|| metadata.annotations.get(INJECT))?;
    match text.to_ascii_lowercase().as_str() {
        "" => None,
        "true" | "y" | "yes" | "on" => Some(true),
        _ => Some(false),
    }
}

/// The namespaces of the input by name, and what they say.
pub(in crate::checks) struct Namespaces<'i> {
    by_name: BTreeMap<&'i str, (Injection, &'i Object<Namespace>)>,
    by_default: bool,
}

impl<'i> Namespaces<'i> {
    /// Reads them.
    pub(in crate::checks) fn of(input: &'i Input) -> Self {
        let by_name = input
            .snapshot
            .namespaces
            .iter()
            .map(|namespace| {
                let injection = injection(&namespace.metadata.labels);
                (namespace.metadata.name.as_str(), (injection, namespace.as_ref()))
            })
            .collect();
        Self { by_name, by_default: enabled_by_default(input) }
    }

    /// What a namespace says; `None` for one that is not known.
    pub(in crate::checks) fn get(&self, name: &str) -> Option<Injection> {
        self.by_name.get(name).map(|(injection, _)| *injection)
    }

    /// Labels of a namespace.
    pub(in crate::checks) fn labels(&self, name: &str) -> Option<&'i Labels> {
        self.by_name.get(name).map(|(_, namespace)| &namespace.metadata.labels)
    }

    /// True where pods of this namespace get a proxy unless they say otherwise.
    pub(in crate::checks) fn is_injected(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Injection::Enabled) => true,
            Some(Injection::Undecided) => self.by_default,
            _ => false,
        }
    }

    /// True where the installation injects into namespaces without label.
    pub(in crate::checks) const fn injects_by_default(&self) -> bool {
        self.by_default
    }

    /// True where a workload is, or is meant to be, in the mesh. A namespace that nothing is known of is taken to be.
    pub(in crate::checks) fn takes_in(&self, namespace: &str, metadata: &ObjectMeta) -> bool {
        if is_ambient(&metadata.labels) {
            return true;
        }
        match (declared(metadata), self.get(namespace)) {
            (Some(declared), _) => declared,
            (None, None | Some(Injection::Ambient)) => true,
            (None, Some(_)) => self.is_injected(namespace),
        }
    }

    /// True where a pod is in the mesh.
    pub(in crate::checks) fn holds(&self, pod: &Object<Pod>) -> bool {
        workload::has_proxy(pod) || self.takes_in(&pod.metadata.namespace, &pod.metadata)
    }

    /// True where a pod is in ambient mode.
    pub(in crate::checks) fn is_ambient(&self, pod: &Object<Pod>) -> bool {
        let own = pod.metadata.labels.get(DATA_PLANE_LABEL).map(String::as_str);
        !workload::has_proxy(pod)
            && (own == Some("ambient")
                || (own.is_none() && self.get(&pod.metadata.namespace) == Some(Injection::Ambient)))
    }
}

/// `sidecarInjectorWebhook.enableNamespacesByDefault` of the injector's configuration.
fn enabled_by_default(input: &Input) -> bool {
    let maps = input.snapshot.config_maps.in_namespace(&input.mesh.root_namespace);
    maps.filter(|map| map.metadata.name.starts_with(INJECTOR)).any(|map| {
        let values = map.spec.data.get("values").map(String::as_str).unwrap_or_default();
        let values: serde_json::Value = serde_json::from_str(values).unwrap_or_default();
        values.pointer("/sidecarInjectorWebhook/enableNamespacesByDefault") == Some(&true.into())
    })
}

/// Name of the injector's ConfigMap; that of a revision has `-<revision>` at its end.
pub(in crate::checks) const INJECTOR: &str = "istio-sidecar-injector";
