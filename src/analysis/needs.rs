//! Which kinds an analyzer reads: what of a cluster has to be listed for it, and what cannot be found where that is not allowed.

use sagene_model::Kind;

use crate::checks::Check;

/// Kinds without a shape of their own that some analyzer reads.
const READ_AS_WRITTEN: &[&str] = &["CustomResourceDefinition"];

/// Everything that some analyzer reads.
const ALL: &[Kind] = &[
    Kind::Service,
    Kind::Pod,
    Kind::Namespace,
    Kind::Node,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::Deployment,
    Kind::MutatingWebhookConfiguration,
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
    Kind::KubernetesGateway,
    Kind::HttpRoute,
    Kind::GrpcRoute,
];

/// The kinds an analyzer reads; of one that is not known here, all.
pub fn of(check: &Check) -> &'static [Kind] {
    use Kind::{
        AuthorizationPolicy, ConfigMap, Deployment, DestinationRule, EnvoyFilter, Gateway, GrpcRoute,
        HttpRoute, KubernetesGateway, MutatingWebhookConfiguration, Namespace, Node, Pod,
        RequestAuthentication, Secret, Service, ServiceEntry, Sidecar, Telemetry, VirtualService, WasmPlugin,
        WorkloadEntry,
    };
    match check.name {
        "annotations.K8sAnalyzer" => &[Namespace, Service, Pod, Deployment],
        "applicationUID.Analyzer" => &[Pod, Deployment],
        "authn.BlockedCIDRsAnalyzer" => &[RequestAuthentication, Deployment],
        "auth.AuthorizationPoliciesAnalyzer" => &[AuthorizationPolicy, Pod, Namespace],
        "conditions.ConditionAnalyzer" => &[
            Service,
            ServiceEntry,
            WorkloadEntry,
            AuthorizationPolicy,
            KubernetesGateway,
            HttpRoute,
            GrpcRoute,
        ],
        "deployment.MultiServiceAnalyzer" => &[Deployment, Service, Namespace],
        "deprecation.DeprecationAnalyzer" => &[VirtualService, Sidecar],
        "destinationrule.CaCertificateAnalyzer" => &[DestinationRule],
        "destinationrule.SubsetSelectPodAnalyzer" => {
            &[DestinationRule, VirtualService, Service, ServiceEntry, WorkloadEntry, Pod, Node]
        }
        "envoyfilter.EnvoyPatchAnalyzer" => &[EnvoyFilter],
        "externalcontrolplane.ExternalControlPlaneAnalyzer" | "webhook.Analyzer" => {
            &[MutatingWebhookConfiguration, Service]
        }
        "gateway.CertificateAnalyzer" => &[Gateway],
        "gateway.ConflictingGatewayAnalyzer" => &[Gateway, Pod],
        "gateway.IngressGatewayPortAnalyzer" => &[Gateway, Pod, Service],
        "gateway.SecretAnalyzer" => &[Gateway, Pod, Secret],
        "injection.Analyzer" => &[Namespace, Pod, ConfigMap],
        "injection.ImageAnalyzer" => &[Namespace, Pod, ConfigMap],
        "injection.ImageAutoAnalyzer" => &[Namespace, Pod, Deployment, MutatingWebhookConfiguration],
        "k8sgateway.CRDVersionAnalyzer" => &[],
        "k8sgateway.SelectorAnalyzer" => {
            &[AuthorizationPolicy, RequestAuthentication, Telemetry, WasmPlugin, Pod, KubernetesGateway]
        }
        "meshnetworks.MeshNetworksAnalyzer" => &[Secret, ConfigMap],
        "service.PortNameAnalyzer" | "services.MultiClusterServiceAnalyzer" => &[Service],
        "serviceentry.Analyzer" | "serviceentry.ConflictingServiceEntryProtocolAnalyzer" => &[ServiceEntry],
        "sidecar.SelectorAnalyzer" => &[Sidecar, Pod, Namespace],
        "telemetry.DefaultSelectorAnalyzer" => &[Telemetry],
        "telemetry.LightstepAnalyzer" | "telemetry.ProviderAnalyzer" => &[Telemetry, ConfigMap],
        "telemetry.SelectorAnalyzer" => &[Telemetry, Pod],
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer" => &[VirtualService],
        "virtualservice.DestinationHostAnalyzer" => {
            &[VirtualService, Service, ServiceEntry, Gateway, DestinationRule]
        }
        "virtualservice.DestinationRuleAnalyzer" => &[VirtualService, DestinationRule],
        "virtualservice.GatewayAnalyzer" => &[VirtualService, Gateway, KubernetesGateway],
        "virtualservice.JWTClaimRouteAnalyzer" => &[VirtualService, Gateway, RequestAuthentication, Pod],
        _ => ALL,
    }
}

/// The kinds some analyzers read, each once.
pub fn of_all(checks: &[&Check]) -> std::collections::BTreeSet<Kind> {
    checks.iter().flat_map(|check| of(check)).copied().collect()
}

/// Whether objects of a kind that has no shape here are read all the same.
pub fn is_read(kind: &str) -> bool {
    READ_AS_WRITTEN.contains(&kind)
}
