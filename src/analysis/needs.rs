//! Which kinds an analyzer reads: what of a cluster has to be listed for it, and what cannot be found where that is not allowed.

use std::collections::BTreeSet;

use sagene_model::Kind;
use serde_json::Value;

use crate::checks::Check;

/// Kinds without a shape of their own that some analyzer reads: some for themselves, some for the pods that they make.
const READ_AS_WRITTEN: &[&str] = &[
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
    "TrafficExtension",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
    "Certificate",
    "ExternalSecret",
    "SealedSecret",
];

/// Istio's kinds, whose status says whether they were taken.
const WITH_STATUS: &[Kind] = &[
    Kind::VirtualService,
    Kind::DestinationRule,
    Kind::Gateway,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::WorkloadGroup,
    Kind::Sidecar,
    Kind::EnvoyFilter,
    Kind::ProxyConfig,
    Kind::PeerAuthentication,
    Kind::RequestAuthentication,
    Kind::AuthorizationPolicy,
    Kind::Telemetry,
    Kind::WasmPlugin,
];

/// The kinds an analyzer reads.
pub fn of(check: &Check) -> &'static [Kind] {
    use Kind::{
        AuthorizationPolicy, ConfigMap, Deployment, DestinationRule, EnvoyFilter, Gateway, GrpcRoute,
        HttpRoute, KubernetesGateway, MutatingWebhookConfiguration, Namespace, Node, PeerAuthentication, Pod,
        ProxyConfig, RequestAuthentication, Secret, Service, ServiceEntry, Sidecar, Telemetry,
        VirtualService, WasmPlugin, WorkloadEntry, WorkloadGroup,
    };
    match check.name {
        "annotations.K8sAnalyzer" => &[Namespace, Service, Pod, Deployment],
        "applicationUID.Analyzer" => &[Pod, Deployment],
        "authn.BlockedCIDRsAnalyzer" => &[RequestAuthentication, Deployment],
        "auth.AuthorizationPoliciesAnalyzer" => {
            &[AuthorizationPolicy, Pod, WorkloadEntry, Namespace, ConfigMap]
        }
        "conditions.ConditionAnalyzer" => &[
            Service,
            ServiceEntry,
            WorkloadEntry,
            AuthorizationPolicy,
            KubernetesGateway,
            HttpRoute,
            GrpcRoute,
        ],
        "deployment.MultiServiceAnalyzer" => &[Deployment, Service, Namespace, ConfigMap],
        "deprecation.DeprecationAnalyzer" => &[VirtualService, Sidecar],
        "destinationrule.CaCertificateAnalyzer" | "sagene.DestinationRuleUnusedAnalyzer" => {
            &[DestinationRule]
        }
        "destinationrule.SubsetSelectPodAnalyzer" => {
            &[DestinationRule, VirtualService, Service, ServiceEntry, WorkloadEntry, Pod, Node]
        }
        "effect.Analyzer" => &[
            ProxyConfig,
            WorkloadGroup,
            AuthorizationPolicy,
            WasmPlugin,
            Gateway,
            DestinationRule,
            ServiceEntry,
            Sidecar,
            VirtualService,
        ],
        "envoyfilter.EnvoyPatchAnalyzer" => &[EnvoyFilter],
        "externalcontrolplane.ExternalControlPlaneAnalyzer" => &[MutatingWebhookConfiguration],
        "webhook.Analyzer" => &[MutatingWebhookConfiguration, Service],
        "gateway.CertificateAnalyzer" => &[Gateway],
        "gateway.ConflictingGatewayAnalyzer" => &[Gateway, Pod, WorkloadEntry],
        "gateway.IngressGatewayPortAnalyzer" => &[Gateway, Pod, WorkloadEntry, Service],
        "gateway.SecretAnalyzer" => &[Gateway, Pod, WorkloadEntry, Secret],
        "injection.Analyzer" => &[Namespace, Pod, ConfigMap],
        "injection.ImageAnalyzer" => &[Namespace, Pod, MutatingWebhookConfiguration, ConfigMap],
        "injection.ImageAutoAnalyzer" => {
            &[Namespace, Pod, Deployment, MutatingWebhookConfiguration, ConfigMap]
        }
        "k8sgateway.CRDVersionAnalyzer" => &[],
        "k8sgateway.SelectorAnalyzer" => {
            &[AuthorizationPolicy, RequestAuthentication, Telemetry, WasmPlugin, Pod]
        }
        "meshnetworks.MeshNetworksAnalyzer" => &[Secret, ConfigMap],
        "sagene.ConfigurationRejectedAnalyzer" => WITH_STATUS,
        "sagene.ForeignHostAnalyzer" => &[VirtualService, Service, ServiceEntry],
        "sagene.MutualTlsConflictAnalyzer" => {
            &[DestinationRule, PeerAuthentication, Service, ServiceEntry, Pod, Namespace, ConfigMap]
        }
        "sagene.PlaintextClientAnalyzer" => {
            &[PeerAuthentication, Service, ServiceEntry, Pod, Deployment, Namespace, ConfigMap]
        }
        "sagene.PolicyHostsAnalyzer" | "sagene.PolicyMatchesNoRequestAnalyzer" => &[AuthorizationPolicy],
        "sagene.PolicyPlaintextAnalyzer" => &[AuthorizationPolicy, PeerAuthentication],
        "sagene.PolicyPortsAnalyzer" => &[AuthorizationPolicy, Service, Pod],
        "sagene.RequestAuthenticationAloneAnalyzer" => {
            &[RequestAuthentication, AuthorizationPolicy, VirtualService]
        }
        "sagene.RouteNeverMatchesAnalyzer" => &[VirtualService, Gateway],
        "schema.ValidationAnalyzer.AuthorizationPolicy" => &[AuthorizationPolicy],
        "schema.ValidationAnalyzer.DestinationRule" => &[DestinationRule],
        "schema.ValidationAnalyzer.EnvoyFilter" => &[EnvoyFilter],
        "schema.ValidationAnalyzer.Gateway" => &[Gateway],
        "schema.ValidationAnalyzer.MeshConfig" | "schema.ValidationAnalyzer.MeshNetworks" => &[ConfigMap],
        "schema.ValidationAnalyzer.PeerAuthentication" => &[PeerAuthentication],
        "schema.ValidationAnalyzer.ProxyConfig" => &[ProxyConfig],
        "schema.ValidationAnalyzer.RequestAuthentication" => &[RequestAuthentication],
        "schema.ValidationAnalyzer.ServiceEntry" => &[ServiceEntry],
        "schema.ValidationAnalyzer.Sidecar" => &[Sidecar],
        "schema.ValidationAnalyzer.Telemetry" => &[Telemetry],
        "schema.ValidationAnalyzer.TrafficExtension" => &[],
        "schema.ValidationAnalyzer.WasmPlugin" => &[WasmPlugin],
        "schema.ValidationAnalyzer.WorkloadEntry" => &[WorkloadEntry],
        "schema.ValidationAnalyzer.WorkloadGroup" => &[WorkloadGroup],
        "service.PortNameAnalyzer"
        | "services.MultiClusterServiceAnalyzer"
        | "sagene.ServerFirstPortAnalyzer" => &[Service],
        "serviceentry.Analyzer" => &[ServiceEntry, ConfigMap],
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer" => &[ServiceEntry],
        "sidecar.SelectorAnalyzer" => &[Sidecar, Pod, WorkloadEntry, Namespace, ConfigMap],
        "telemetry.DefaultSelectorAnalyzer" => &[Telemetry],
        "telemetry.LightstepAnalyzer" | "telemetry.ProviderAnalyzer" => &[Telemetry, ConfigMap],
        "telemetry.SelectorAnalyzer" => &[Telemetry, Pod, WorkloadEntry],
        "sagene.LosingVirtualServiceAnalyzer"
        | "sagene.RetriesExceedTimeoutAnalyzer"
        | "sagene.RouteWeightsAnalyzer"
        | "schema.ValidationAnalyzer.VirtualService"
        | "schema.ValidationAnalyzer.VirtualService.Routes"
        | "virtualservice.ConflictingMeshGatewayHostsAnalyzer"
        | "virtualservice.DestinationHostAnalyzer.IngressSubset" => &[VirtualService],
        "virtualservice.DestinationHostAnalyzer" => &[VirtualService, Service, ServiceEntry],
        "virtualservice.DestinationRuleAnalyzer" => &[VirtualService, DestinationRule],
        "virtualservice.GatewayAnalyzer" => &[VirtualService, Gateway, KubernetesGateway],
        "virtualservice.JWTClaimRouteAnalyzer" => &[VirtualService, Gateway, RequestAuthentication, Pod],
        _ => Kind::ALL,
    }
}

/// The kinds whose objects an analyzer judges one by one: what it finds about an object depends on that object and on other kinds alone,
/// and what it finds about other kinds does not depend on these.
pub fn judged_alone(check: &Check) -> &'static [Kind] {
    use Kind::{
        AuthorizationPolicy, Deployment, DestinationRule, Gateway, Pod, RequestAuthentication, ServiceEntry,
        Telemetry, VirtualService,
    };
    match check.name {
        "annotations.K8sAnalyzer"
        | "applicationUID.Analyzer"
        | "conditions.ConditionAnalyzer"
        | "deprecation.DeprecationAnalyzer"
        | "destinationrule.CaCertificateAnalyzer"
        | "effect.Analyzer"
        | "envoyfilter.EnvoyPatchAnalyzer"
        | "externalcontrolplane.ExternalControlPlaneAnalyzer"
        | "sagene.ConfigurationRejectedAnalyzer"
        | "sagene.PolicyHostsAnalyzer"
        | "sagene.PolicyMatchesNoRequestAnalyzer"
        | "sagene.RetriesExceedTimeoutAnalyzer"
        | "sagene.RouteWeightsAnalyzer"
        | "sagene.ServerFirstPortAnalyzer"
        | "service.PortNameAnalyzer" => of(check),
        name if name.starts_with("schema.") => of(check),
        "auth.AuthorizationPoliciesAnalyzer"
        | "sagene.PolicyPlaintextAnalyzer"
        | "sagene.PolicyPortsAnalyzer" => &[AuthorizationPolicy],
        "deployment.MultiServiceAnalyzer" => &[Deployment],
        "destinationrule.SubsetSelectPodAnalyzer" | "sagene.MutualTlsConflictAnalyzer" => &[DestinationRule],
        "gateway.IngressGatewayPortAnalyzer" | "gateway.SecretAnalyzer" => &[Gateway],
        "injection.Analyzer" => &[Pod],
        "injection.ImageAutoAnalyzer" => &[Pod, Deployment],
        "sagene.RequestAuthenticationAloneAnalyzer" => &[RequestAuthentication],
        "serviceentry.Analyzer" => &[ServiceEntry],
        "telemetry.LightstepAnalyzer" | "telemetry.ProviderAnalyzer" => &[Telemetry],
        "sagene.ForeignHostAnalyzer"
        | "sagene.RouteNeverMatchesAnalyzer"
        | "virtualservice.DestinationHostAnalyzer"
        | "virtualservice.DestinationRuleAnalyzer"
        | "virtualservice.GatewayAnalyzer"
        | "virtualservice.JWTClaimRouteAnalyzer" => &[VirtualService],
        _ => &[],
    }
}

/// A kind without a shape of its own that an analyzer reads as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Untyped {
    /// API group.
    pub group: &'static str,
    /// Version to ask for.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name of the resource.
    pub plural: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

const VALIDATING_WEBHOOKS: Untyped = Untyped {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingWebhookConfiguration",
    plural: "validatingwebhookconfigurations",
    namespaced: false,
};
const TRAFFIC_EXTENSIONS: Untyped = Untyped {
    group: "extensions.istio.io",
    version: "v1alpha1",
    kind: "TrafficExtension",
    plural: "trafficextensions",
    namespaced: true,
};

/// The kinds an analyzer reads as they were written, CustomResourceDefinitions aside: those are asked for by name.
pub fn untyped_of(check: &Check) -> &'static [Untyped] {
    match check.name {
        "externalcontrolplane.ExternalControlPlaneAnalyzer" => &[VALIDATING_WEBHOOKS],
        "schema.ValidationAnalyzer.TrafficExtension" => &[TRAFFIC_EXTENSIONS],
        _ => &[],
    }
}

/// API groups of kinds that Istio has removed.
pub const REMOVED_GROUPS: [&str; 3] = ["rbac.istio.io", "authentication.istio.io", "config.istio.io"];

/// The kinds some analyzers read, each once.
pub fn of_all(checks: &[&Check]) -> BTreeSet<Kind> {
    checks.iter().flat_map(|check| of(check)).copied().collect()
}

/// Whether pods are made from objects of a kind.
pub(crate) fn makes_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob")
}

/// Whether pods are made from an object: by its kind or, of kinds that others define (Rollouts, CloneSets), by the template it holds.
pub(crate) fn makes_pods_as_written(kind: &str, value: &Value) -> bool {
    makes_pods(kind) || value.pointer("/spec/template/spec/containers").is_some_and(Value::is_array)
}

/// Whether Secrets are made from objects of a kind: by cert-manager, the External Secrets Operator and Sealed Secrets.
pub(crate) fn makes_secrets(kind: &str) -> bool {
    matches!(kind, "Certificate" | "ExternalSecret" | "SealedSecret")
}

/// The kinds of `kinds` whose objects some of the analyzers read.
pub fn read_by<'k>(checks: &[&Check], kinds: impl Iterator<Item = &'k str>) -> BTreeSet<&'k str> {
    let typed: BTreeSet<&str> = of_all(checks).into_iter().map(Kind::name).collect();
    kinds.filter(|kind| typed.contains(kind) || READ_AS_WRITTEN.contains(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::ALL;

    #[test]
    fn of_every_analyzer_is_known_what_it_reads() {
        let unknown: Vec<&str> =
            ALL.iter().filter(|check| of(check) == Kind::ALL).map(|check| check.name).collect();
        assert!(unknown.is_empty(), "name their kinds in `of`: {unknown:?}");
        let all: Vec<&Check> = ALL.iter().collect();
        let read = read_by(&all, ["Service", "ServiceAccount", "StatefulSet", "Lease"].into_iter());
        assert_eq!(read.into_iter().collect::<Vec<_>>(), ["Service", "StatefulSet"]);
    }
}
