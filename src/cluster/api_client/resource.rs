//! How a kind is addressed in-process, with constants for the built-in kinds that controllers and the node agent use.

use std::borrow::Cow;

use serde_json::Value;

/// Group, version, plural and scope of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceRef {
    /// API group; `""` for the core group.
    pub group: Cow<'static, str>,
    /// Version, such as `v1`.
    pub version: Cow<'static, str>,
    /// Lower-case plural, as in URLs.
    pub plural: Cow<'static, str>,
    /// Kind, as in objects.
    pub kind: Cow<'static, str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl ResourceRef {
    /// A kind that is not among the constants, such as one of a CRD.
    pub fn new(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: Cow::Owned(group.to_owned()),
            version: Cow::Owned(version.to_owned()),
            plural: Cow::Owned(plural.to_owned()),
            kind: Cow::Owned(kind.to_owned()),
            namespaced,
        }
    }

    const fn fixed(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
            namespaced,
        }
    }

    /// `apiVersion` of its objects: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `plural.group`, or the plural alone for the core group: how messages name it (`deployments.apps`).
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The built-in kind with this `apiVersion` and `kind`, as owner references carry them.
    pub fn builtin(api_version: &str, kind: &str) -> Option<&'static ResourceRef> {
        Self::ALL
            .iter()
            .copied()
            .find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// `pods` of `the core group`.
    pub const PODS: ResourceRef = Self::fixed("", "v1", "pods", "Pod", true);
    /// `services` of `the core group`.
    pub const SERVICES: ResourceRef = Self::fixed("", "v1", "services", "Service", true);
    /// `configmaps` of `the core group`.
    pub const CONFIG_MAPS: ResourceRef = Self::fixed("", "v1", "configmaps", "ConfigMap", true);
    /// `secrets` of `the core group`.
    pub const SECRETS: ResourceRef = Self::fixed("", "v1", "secrets", "Secret", true);
    /// `namespaces` of `the core group`.
    pub const NAMESPACES: ResourceRef = Self::fixed("", "v1", "namespaces", "Namespace", false);
    /// `nodes` of `the core group`.
    pub const NODES: ResourceRef = Self::fixed("", "v1", "nodes", "Node", false);
    /// `serviceaccounts` of `the core group`.
    pub const SERVICE_ACCOUNTS: ResourceRef =
        Self::fixed("", "v1", "serviceaccounts", "ServiceAccount", true);
    /// `endpoints` of `the core group`.
    pub const ENDPOINTS: ResourceRef = Self::fixed("", "v1", "endpoints", "Endpoints", true);
    /// `events` of `the core group`.
    pub const EVENTS: ResourceRef = Self::fixed("", "v1", "events", "Event", true);
    /// `persistentvolumes` of `the core group`.
    pub const PERSISTENT_VOLUMES: ResourceRef =
        Self::fixed("", "v1", "persistentvolumes", "PersistentVolume", false);
    /// `persistentvolumeclaims` of `the core group`.
    pub const PERSISTENT_VOLUME_CLAIMS: ResourceRef =
        Self::fixed("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true);
    /// `storageclasses` of `storage.k8s.io`.
    pub const STORAGE_CLASSES: ResourceRef =
        Self::fixed("storage.k8s.io", "v1", "storageclasses", "StorageClass", false);
    /// `replicationcontrollers` of `the core group`.
    pub const REPLICATION_CONTROLLERS: ResourceRef =
        Self::fixed("", "v1", "replicationcontrollers", "ReplicationController", true);
    /// `limitranges` of `the core group`.
    pub const LIMIT_RANGES: ResourceRef = Self::fixed("", "v1", "limitranges", "LimitRange", true);
    /// `resourcequotas` of `the core group`.
    pub const RESOURCE_QUOTAS: ResourceRef = Self::fixed("", "v1", "resourcequotas", "ResourceQuota", true);
    /// `deployments` of `apps`.
    pub const DEPLOYMENTS: ResourceRef = Self::fixed("apps", "v1", "deployments", "Deployment", true);
    /// `replicasets` of `apps`.
    pub const REPLICA_SETS: ResourceRef = Self::fixed("apps", "v1", "replicasets", "ReplicaSet", true);
    /// `statefulsets` of `apps`.
    pub const STATEFUL_SETS: ResourceRef = Self::fixed("apps", "v1", "statefulsets", "StatefulSet", true);
    /// `daemonsets` of `apps`.
    pub const DAEMON_SETS: ResourceRef = Self::fixed("apps", "v1", "daemonsets", "DaemonSet", true);
    /// `controllerrevisions` of `apps`.
    pub const CONTROLLER_REVISIONS: ResourceRef =
        Self::fixed("apps", "v1", "controllerrevisions", "ControllerRevision", true);
    /// `jobs` of `batch`.
    pub const JOBS: ResourceRef = Self::fixed("batch", "v1", "jobs", "Job", true);
    /// `cronjobs` of `batch`.
    pub const CRON_JOBS: ResourceRef = Self::fixed("batch", "v1", "cronjobs", "CronJob", true);
    /// `horizontalpodautoscalers` of `autoscaling`.
    pub const HORIZONTAL_POD_AUTOSCALERS: ResourceRef =
        Self::fixed("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true);
    /// `poddisruptionbudgets` of `policy`.
    pub const POD_DISRUPTION_BUDGETS: ResourceRef =
        Self::fixed("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true);
    /// `endpointslices` of `discovery.k8s.io`.
    pub const ENDPOINT_SLICES: ResourceRef =
        Self::fixed("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true);
    /// `ingresses` of `networking.k8s.io`.
    pub const INGRESSES: ResourceRef = Self::fixed("networking.k8s.io", "v1", "ingresses", "Ingress", true);
    /// `ingressclasses` of `networking.k8s.io`.
    pub const INGRESS_CLASSES: ResourceRef =
        Self::fixed("networking.k8s.io", "v1", "ingressclasses", "IngressClass", false);
    /// `networkpolicies` of `networking.k8s.io`.
    pub const NETWORK_POLICIES: ResourceRef =
        Self::fixed("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true);
    /// `leases` of `coordination.k8s.io`.
    pub const LEASES: ResourceRef = Self::fixed("coordination.k8s.io", "v1", "leases", "Lease", true);
    /// `customresourcedefinitions` of `apiextensions.k8s.io`.
    pub const CUSTOM_RESOURCE_DEFINITIONS: ResourceRef = Self::fixed(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
    );

    /// Every constant above.
    pub const ALL: &'static [&'static ResourceRef] = &[
        &Self::PODS,
        &Self::SERVICES,
        &Self::CONFIG_MAPS,
        &Self::SECRETS,
        &Self::NAMESPACES,
        &Self::NODES,
        &Self::SERVICE_ACCOUNTS,
        &Self::ENDPOINTS,
        &Self::EVENTS,
        &Self::PERSISTENT_VOLUMES,
        &Self::PERSISTENT_VOLUME_CLAIMS,
        &Self::STORAGE_CLASSES,
        &Self::REPLICATION_CONTROLLERS,
        &Self::LIMIT_RANGES,
        &Self::RESOURCE_QUOTAS,
        &Self::DEPLOYMENTS,
        &Self::REPLICA_SETS,
        &Self::STATEFUL_SETS,
        &Self::DAEMON_SETS,
        &Self::CONTROLLER_REVISIONS,
        &Self::JOBS,
        &Self::CRON_JOBS,
        &Self::HORIZONTAL_POD_AUTOSCALERS,
        &Self::POD_DISRUPTION_BUDGETS,
        &Self::ENDPOINT_SLICES,
        &Self::INGRESSES,
        &Self::INGRESS_CLASSES,
        &Self::NETWORK_POLICIES,
        &Self::LEASES,
        &Self::CUSTOM_RESOURCE_DEFINITIONS,
    ];
}

/// `metadata.name`, or `""`.
pub fn name_of(object: &Value) -> &str {
    metadata_text(object, "name")
}

/// `metadata.namespace`, or `""`.
pub fn namespace_of(object: &Value) -> &str {
    metadata_text(object, "namespace")
}

/// `metadata.uid`, or `""`.
pub fn uid_of(object: &Value) -> &str {
    metadata_text(object, "uid")
}

/// `metadata.resourceVersion` as a number; 0 when absent.
pub fn revision_of(object: &Value) -> u64 {
    metadata_text(object, "resourceVersion").parse().unwrap_or(0)
}

/// Whether `metadata.deletionTimestamp` is set.
pub fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some_and(|value| !value.is_null())
}

fn metadata_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}
