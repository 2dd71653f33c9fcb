//! One resource type of an API server, and where its objects are.

use serde_json::Value;

/// A resource type as discovery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: String,
    /// `v1`, `v1beta1` …
    pub(crate) version: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// `deployments`.
    pub(crate) plural: String,
    /// `deployment`.
    pub(crate) singular: String,
    /// `deploy`.
    pub(crate) short_names: Vec<String>,
    /// `all`, `istio-io` …
    pub(crate) categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// `get`, `list`, `watch` …
    pub(crate) verbs: Vec<String>,
    /// Whether there is a `scale` subresource.
    pub(crate) scalable: bool,
}

impl Resource {
    /// A well-known type, for commands that need no discovery.
    pub(crate) fn known(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced,
            verbs: Vec::new(),
            scalable: false,
        }
    }

    /// Pods.
    pub(crate) fn pods() -> Self {
        Self::known("", "v1", "Pod", "pods", true)
    }

    /// Services.
    pub(crate) fn services() -> Self {
        Self::known("", "v1", "Service", "services", true)
    }

    /// Namespaces.
    pub(crate) fn namespaces() -> Self {
        Self::known("", "v1", "Namespace", "namespaces", false)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, or `pods` for the core group: how kubectl names a type in messages.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `deployment.apps`, as in `deployment.apps/x created`.
    pub(crate) fn qualified_singular(&self) -> String {
        let singular =
            if self.singular.is_empty() { self.kind.to_lowercase() } else { self.singular.clone() };
        if self.group.is_empty() { singular } else { format!("{singular}.{}", self.group) }
    }

    /// URL path of the collection; of all namespaces when `namespace` is `None`.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }

    /// URL path of one object.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }
}

/// A text field of an object, empty when absent.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of a list of an object, none where there is no list.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Container of a sidecar or gateway.
pub(crate) const PROXY: &str = "istio-proxy";

/// Whether a pod has a proxy of the mesh, beside the application or as a native sidecar.
pub(crate) fn has_proxy(pod: &Value) -> bool {
    let containers = list(pod, "/spec/containers").chain(list(pod, "/spec/initContainers"));
    containers.into_iter().any(|container| text(container, "/name") == PROXY)
}

/// The label selector of whatever selects pods: workloads, Services.
pub(crate) fn selector_of(object: &Value) -> Option<String> {
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .or_else(|| {
            object.pointer("/spec/selector").filter(|selector| selector.get("matchLabels").is_none())
        })?
        .as_object()
        .filter(|labels| !labels.is_empty())?;
    let pairs: Vec<String> =
        labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    Some(pairs.join(","))
}
