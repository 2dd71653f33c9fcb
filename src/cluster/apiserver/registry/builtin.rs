//! The built-in kinds: names, scope and subresources, in one table.

use std::sync::Arc;

use super::{ResourceDefinition, ScalePaths, VersionDefinition};
use crate::api_client::ResourceRef;
use crate::apiserver::schema;

/// group, versions (that of storage first), plural, kind, short names, categories, flags.
/// Flags: `n` namespaced, `s` status subresource, `x` scale subresource, `c` create only, `m` measured.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("", "v1", "bindings", "Binding", "", "", "nc"),
    ("", "v1", "configmaps", "ConfigMap", "cm", "", "n"),
    ("", "v1", "endpoints", "Endpoints", "ep", "", "n"),
    ("", "v1", "events", "Event", "ev", "", "n"),
    ("", "v1", "limitranges", "LimitRange", "limits", "", "n"),
    ("", "v1", "namespaces", "Namespace", "ns", "", "s"),
    ("", "v1", "nodes", "Node", "no", "", "s"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "", "ns"),
    ("", "v1", "persistentvolumes", "PersistentVolume", "pv", "", "s"),
    ("", "v1", "pods", "Pod", "po", "all", "ns"),
    ("", "v1", "podtemplates", "PodTemplate", "", "", "n"),
    ("", "v1", "replicationcontrollers", "ReplicationController", "rc", "all", "nsx"),
    ("", "v1", "resourcequotas", "ResourceQuota", "quota", "", "ns"),
    ("", "v1", "secrets", "Secret", "", "", "n"),
    ("", "v1", "serviceaccounts", "ServiceAccount", "sa", "", "n"),
    ("", "v1", "services", "Service", "svc", "all", "ns"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "",
        "api-extensions",
        "",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "",
        "api-extensions",
        "",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        "",
        "api-extensions",
        "s",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "",
        "api-extensions",
        "",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd,crds",
        "api-extensions",
        "s",
    ),
    ("apiregistration.k8s.io", "v1", "apiservices", "APIService", "", "api-extensions", "s"),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", "", "", "n"),
    ("apps", "v1", "daemonsets", "DaemonSet", "ds", "all", "ns"),
    ("apps", "v1", "deployments", "Deployment", "deploy", "all", "nsx"),
    ("apps", "v1", "replicasets", "ReplicaSet", "rs", "all", "nsx"),
    ("apps", "v1", "statefulsets", "StatefulSet", "sts", "all", "nsx"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", "", "", "c"),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", "", "", "c"),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "", "", "nc"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "", "", "c"),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", "", "c"),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", "", "", "c"),
    ("autoscaling", "v2,v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "all", "ns"),
    ("batch", "v1", "cronjobs", "CronJob", "cj", "all", "ns"),
    ("batch", "v1", "jobs", "Job", "", "all", "ns"),
    ("coordination.k8s.io", "v1", "leases", "Lease", "", "", "n"),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "", "", "n"),
    ("events.k8s.io", "v1", "events", "Event", "ev", "", "n"),
    ("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", "", "", "m"),
    ("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", "", "", "nm"),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "", "", ""),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", "ing", "", "ns"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol", "", "n"),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "", "ns"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", "", "", ""),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", "", "", ""),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "", "", "n"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", "", "", "n"),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "pc", "", ""),
    ("storage.k8s.io", "v1", "csidrivers", "CSIDriver", "", "", ""),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", "sc", "", ""),
    ("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", "", "", "s"),
];

/// Every built-in kind.
pub(super) fn definitions() -> impl Iterator<Item = ResourceDefinition> {
    ROWS.iter().map(definition)
}

fn definition(row: &Row) -> ResourceDefinition {
    let (group, versions, plural, kind, short_names, categories, flags) = *row;
    let storage = versions.split(',').next().unwrap_or(versions);
    let has = |flag: char| flags.contains(flag);
    let scale = has('x').then(|| ScalePaths {
        spec_replicas: "spec.replicas".to_owned(),
        status_replicas: "status.replicas".to_owned(),
        selector: Some("spec.selector".to_owned()),
    });
    let version = |version: &'static str| VersionDefinition {
        name: version.to_owned(),
        served: true,
        schema: Arc::new(schema::builtin(group, version, kind)),
        status: has('s'),
        scale: scale.clone(),
        columns: Vec::new(),
        selectable_fields: selectable_fields(group, plural),
        deprecation_warning: None,
    };
    // `events.k8s.io` events are the core events under another shape; they share nothing but the name here.
    ResourceDefinition {
        reference: ResourceRef::new(group, storage, plural, kind, has('n')),
        table: format!("{group}/{plural}").into(),
        singular: kind.to_lowercase(),
        list_kind: format!("{kind}List"),
        short_names: words(short_names),
        categories: words(categories),
        versions: versions.split(',').map(version).collect(),
        custom: false,
        create_only: has('c'),
        measured: has('m'),
    }
}

fn words(list: &str) -> Vec<String> {
    list.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Fields beside name and namespace that field selectors of built-in kinds accept.
fn selectable_fields(group: &str, plural: &str) -> Vec<String> {
    let fields = match (group, plural) {
        ("", "pods") => {
            "spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,spec.hostNetwork,status.phase,status.podIP,\
             status.nominatedNodeName"
        }
        ("", "events") => {
            "involvedObject.kind,involvedObject.namespace,involvedObject.name,involvedObject.uid,involvedObject.apiVersion,\
             involvedObject.resourceVersion,involvedObject.fieldPath,reason,reportingComponent,source,type"
        }
        ("", "secrets") => "type",
        ("", "namespaces") => "status.phase",
        ("", "nodes") => "spec.unschedulable",
        ("", "services") => "spec.clusterIP,spec.type",
        ("", "replicationcontrollers") | ("apps", "replicasets") => "status.replicas",
        ("batch", "jobs") => "status.successful",
        _ => "",
    };
    words(fields)
}
