//! The annotations that Istio knows, what kinds they are for, and which of them are deprecated.
//!
//! Source: Istio's reference of resource annotations, hidden ones included, so that nothing valid is called unknown.

use super::INJECT;

/// A kind that annotations are looked for on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KubernetesKind {
    /// Namespace.
    Namespace,
    /// Service.
    Service,
    /// Pod, and the template of pods.
    Pod,
    /// Deployment.
    Deployment,
}

impl KubernetesKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
        }
    }
}

/// An annotation.
#[derive(Debug)]
pub(super) struct Annotation {
    /// Kinds it is for; `Any` for all.
    pub(super) kinds: &'static [&'static str],
    /// Whether it is deprecated.
    pub(super) deprecated: bool,
    /// What to use instead, as the message goes on; empty where there is nothing to say.
    pub(super) instead: &'static str,
}

impl Annotation {
    /// The annotation of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        if let Some((_, instead)) = DEPRECATED.iter().find(|(known, _)| *known == name) {
            let kinds = if name.starts_with("alpha.istio.io/") && !name.ends_with("identity") {
                SERVICE
            } else {
                POD
            };
            return Some(Self { kinds, deprecated: true, instead });
        }
        let groups = [
            (ANY, OF_ANY),
            (POD, OF_POD),
            (SERVICE, OF_SERVICE),
            (GATEWAY, OF_GATEWAY),
            (WORKLOAD_ENTRY, OF_WORKLOAD_ENTRY),
        ];
        let of_group = groups.into_iter().find(|(_, names)| names.contains(&name)).map(|(kinds, _)| kinds);
        let kinds =
            of_group.or_else(|| OTHERS.iter().find(|(known, _)| *known == name).map(|(_, kinds)| *kinds))?;
        Some(Self { kinds, deprecated: false, instead: "" })
    }

    /// The names of those that may be written: all but the deprecated ones, of which only the one that everybody knows is still meant.
    pub(super) fn names() -> Vec<&'static str> {
        let groups = [OF_ANY, OF_POD, OF_SERVICE, OF_GATEWAY, OF_WORKLOAD_ENTRY, &[INJECT]];
        let others = OTHERS.iter().map(|(name, _)| *name);
        groups.into_iter().flatten().copied().chain(others).collect()
    }

    /// True where it means something on a kind.
    pub(super) fn belongs_to(&self, kind: KubernetesKind) -> bool {
        self.kinds.iter().any(|known| *known == "Any" || *known == kind.name())
    }
}

const ANY: &[&str] = &["Any"];
const POD: &[&str] = &["Pod"];
const SERVICE: &[&str] = &["Service"];
const GATEWAY: &[&str] = &["Gateway"];
const WORKLOAD_ENTRY: &[&str] = &["WorkloadEntry"];

const DEPRECATED: &[(&str, &str)] = &[
    ("alpha.istio.io/canonical-serviceaccounts", ""),
    ("alpha.istio.io/identity", ""),
    ("alpha.istio.io/kubernetes-serviceaccounts", ""),
    ("sidecar.istio.io/controlPlaneAuthPolicy", ""),
    ("sidecar.istio.io/discoveryAddress", ""),
    ("sidecar.istio.io/enableCoreDump", ""),
    ("sidecar.istio.io/extraStatTags", ""),
    (INJECT, " in favor of the \"sidecar.istio.io/inject\" label"),
    ("sidecar.istio.io/statsInclusionPrefixes", ""),
    ("sidecar.istio.io/statsInclusionRegexps", ""),
    ("sidecar.istio.io/statsInclusionSuffixes", ""),
];

const OF_ANY: &[&str] = &[
    "galley.istio.io/analyze-suppress",
    "install.operator.istio.io/chart-owner",
    "install.operator.istio.io/owner-generation",
    "install.operator.istio.io/version",
    "meshconfig.istio.io/revision",
    "istio.io/description",
];

const OF_POD: &[&str] = &[
    "ambient.istio.io/bypass-inbound-capture",
    "ambient.istio.io/dns-capture",
    "ambient.istio.io/redirection",
    "inject.istio.io/templates",
    "istio.io/cluster",
    "istio.io/reroute-virtual-interfaces",
    "istio.io/rev",
    "prometheus.istio.io/merge-metrics",
    "prometheus.istio.io/scrape-targets",
    "proxy.istio.io/config",
    "proxy.istio.io/overrides",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "security.istio.io/autoMTLS",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/capNetBindService",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/rewriteAppHTTPProbers",
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/statsFlushInterval",
    "sidecar.istio.io/statsHistogramBins",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/status",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "status.sidecar.istio.io/port",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/kubevirtInterfaces",
];

const OF_SERVICE: &[&str] =
    &["networking.istio.io/exportTo", "traffic.istio.io/nodeSelector", "ingress.istio.io/service-upstream"];

const OF_GATEWAY: &[&str] = &[
    "ambient.istio.io/waypoint-inbound-binding",
    "gateway.istio.io/name-override",
    "gateway.istio.io/service-account",
    "gateway.istio.io/tls-terminate-mode",
    "networking.istio.io/address-type",
    "networking.istio.io/service-type",
];

const OF_WORKLOAD_ENTRY: &[&str] = &[
    "istio.io/autoRegistrationGroup",
    "istio.io/connectedAt",
    "istio.io/disconnectedAt",
    "istio.io/workloadController",
    "proxy.istio.io/health-checks-enabled",
];

const OTHERS: &[(&str, &[&str])] = &[
    ("gateway.istio.io/controller-version", &["Gateway", "Deployment", "Service", "ServiceAccount"]),
    ("istio.io/dry-run", &["AuthorizationPolicy"]),
    ("kubernetes.io/ingress.class", &["Ingress"]),
    ("networking.istio.io/traffic-distribution", &["Namespace", "Service", "ServiceEntry"]),
    ("topology.istio.io/controlPlaneClusters", &["Namespace"]),
    ("networking.alpha.istio.io/serviceVersion", &["ServiceEntry"]),
    ("networking.alpha.istio.io/endpointsVersion", &["ServiceEntry"]),
    ("networking.alpha.istio.io/notReadyEndpoints", &["ServiceEntry"]),
];
