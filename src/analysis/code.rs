//! The catalogue of messages: code, level and name, as Istio's documentation lists them.

use serde::Serialize;

/// How bad it is. The order is that of output: errors first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// Traffic breaks, or will.
    Error,
    /// Probably not what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    /// Reads a level, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Info]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }

    /// As output shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $level:ident, $name:literal;)+) => {
        /// A message of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// `IST0101` and its like.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// How bad it is.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }

            /// Name in Istio's documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

codes! {
    /// The analysis itself failed.
    InternalError = "IST0001", Error, "InternalError";
    /// A field or kind is deprecated.
    Deprecated = "IST0002", Warning, "Deprecated";
    /// Something that is named does not exist.
    ReferencedResourceNotFound = "IST0101", Error, "ReferencedResourceNotFound";
    /// A namespace is neither enabled nor disabled for injection.
    NamespaceNotInjected = "IST0102", Info, "NamespaceNotInjected";
    /// A pod of an injected namespace has no proxy.
    PodMissingProxy = "IST0103", Warning, "PodMissingProxy";
    /// An object breaks a rule of its kind.
    SchemaValidationError = "IST0106", Error, "SchemaValidationError";
    /// An annotation stands on a kind that it means nothing to.
    MisplacedAnnotation = "IST0107", Warning, "MisplacedAnnotation";
    /// An annotation under Istio's names that Istio does not know.
    UnknownAnnotation = "IST0108", Warning, "UnknownAnnotation";
    /// Two virtual services of the mesh claim one host.
    ConflictingMeshGatewayVirtualServiceHosts = "IST0109", Error, "ConflictingMeshGatewayVirtualServiceHosts";
    /// Two Sidecars select one pod.
    ConflictingSidecarWorkloadSelectors = "IST0110", Error, "ConflictingSidecarWorkloadSelectors";
    /// Two Sidecars of a namespace have no selector.
    MultipleSidecarsWithoutWorkloadSelectors = "IST0111", Error, "MultipleSidecarsWithoutWorkloadSelectors";
    /// A destination with several ports, none of which is named.
    VirtualServiceDestinationPortSelectorRequired = "IST0112", Error, "VirtualServiceDestinationPortSelectorRequired";
    /// Services give one port of a Deployment different protocols.
    DeploymentAssociatedToMultipleServices = "IST0116", Warning, "DeploymentAssociatedToMultipleServices";
    /// A port's name says no protocol.
    PortNameIsNotUnderNamingConvention = "IST0118", Info, "PortNameIsNotUnderNamingConvention";
    /// A namespace has labels of both kinds of injection.
    NamespaceMultipleInjectionLabels = "IST0123", Warning, "NamespaceMultipleInjectionLabels";
    /// The value of an annotation cannot be read.
    InvalidAnnotation = "IST0125", Warning, "InvalidAnnotation";
    /// A network names a cluster that is not known.
    UnknownMeshNetworksServiceRegistry = "IST0126", Error, "UnknownMeshNetworksServiceRegistry";
    /// A selector of a policy finds no workload.
    NoMatchingWorkloadsFound = "IST0127", Warning, "NoMatchingWorkloadsFound";
    /// TLS without a root to verify the server with.
    NoServerCertificateVerificationDestinationLevel = "IST0128", Warning, "NoServerCertificateVerificationDestinationLevel";
    /// The same for one port.
    NoServerCertificateVerificationPortLevel = "IST0129", Warning, "NoServerCertificateVerificationPortLevel";
    /// A route that no request reaches.
    VirtualServiceUnreachableRule = "IST0130", Warning, "VirtualServiceUnreachableRule";
    /// A match that adds nothing.
    VirtualServiceIneffectiveMatch = "IST0131", Info, "VirtualServiceIneffectiveMatch";
    /// A host that the gateway does not serve.
    VirtualServiceHostNotFoundInGateway = "IST0132", Warning, "VirtualServiceHostNotFoundInGateway";
    /// An object is odd, though not against the rules.
    SchemaWarning = "IST0133", Warning, "SchemaWarning";
    /// Connections to a ServiceEntry cannot be told from others without addresses.
    ServiceEntryAddressesRequired = "IST0134", Warning, "ServiceEntryAddressesRequired";
    /// An annotation is deprecated.
    DeprecatedAnnotation = "IST0135", Info, "DeprecatedAnnotation";
    /// An annotation may change.
    AlphaAnnotation = "IST0136", Info, "AlphaAnnotation";
    /// Services lead several ports to one port of a Deployment.
    DeploymentConflictingPorts = "IST0137", Warning, "DeploymentConflictingPorts";
    /// Gateways of the same workload share a certificate.
    GatewayDuplicateCertificate = "IST0138", Warning, "GatewayDuplicateCertificate";
    /// Webhooks of injection overlap, or lead nowhere.
    InvalidWebhook = "IST0139", Error, "InvalidWebhook";
    /// A subset that has no effect at an ingress gateway.
    IngressRouteRulesNotAffected = "IST0140", Warning, "IngressRouteRulesNotAffected";
    /// The user may not create what an installation needs.
    InsufficientPermissions = "IST0141", Error, "InsufficientPermissions";
    /// Kubernetes is too old.
    UnsupportedKubernetesVersion = "IST0142", Error, "UnsupportedKubernetesVersion";
    /// A port of a Service that listens on localhost alone.
    LocalhostListener = "IST0143", Error, "LocalhostListener";
    /// An application runs as the proxy's user.
    InvalidApplicationUID = "IST0144", Warning, "InvalidApplicationUID";
    /// Gateways of the same workload claim the same port and hosts.
    ConflictingGateways = "IST0145", Error, "ConflictingGateways";
    /// A template says `image: auto`, but nothing will put the image in.
    ImageAutoWithoutInjectionWarning = "IST0146", Warning, "ImageAutoWithoutInjectionWarning";
    /// A pod runs with `image: auto`.
    ImageAutoWithoutInjectionError = "IST0147", Error, "ImageAutoWithoutInjectionError";
    /// A namespace without label is injected by default.
    NamespaceInjectionEnabledByDefault = "IST0148", Info, "NamespaceInjectionEnabledByDefault";
    /// Routes by claims of tokens that nobody verifies.
    JwtClaimBasedRoutingWithoutRequestAuthN = "IST0149", Error, "JwtClaimBasedRoutingWithoutRequestAuthN";
    /// An ExternalName service with a port named for TCP.
    ExternalNameServiceTypeInvalidPortName = "IST0150", Warning, "ExternalNameServiceTypeInvalidPortName";
    /// A patch that depends on the order of patches.
    EnvoyFilterUsesRelativeOperation = "IST0151", Warning, "EnvoyFilterUsesRelativeOperation";
    /// REPLACE of what cannot be replaced.
    EnvoyFilterUsesReplaceOperationIncorrectly = "IST0152", Error, "EnvoyFilterUsesReplaceOperationIncorrectly";
    /// ADD where it has no effect.
    EnvoyFilterUsesAddOperationIncorrectly = "IST0153", Error, "EnvoyFilterUsesAddOperationIncorrectly";
    /// REMOVE where it has no effect.
    EnvoyFilterUsesRemoveOperationIncorrectly = "IST0154", Error, "EnvoyFilterUsesRemoveOperationIncorrectly";
    /// A patch that depends on the order of patches and on the proxy's version.
    EnvoyFilterUsesRelativeOperationWithProxyVersion = "IST0155", Warning, "EnvoyFilterUsesRelativeOperationWithProxyVersion";
    /// The Gateway API's CRDs are too old.
    UnsupportedGatewayAPIVersion = "IST0156", Error, "UnsupportedGatewayAPIVersion";
    /// A Telemetry without providers, where the mesh has no default.
    InvalidTelemetryProvider = "IST0157", Warning, "InvalidTelemetryProvider";
    /// Pods run another proxy image than injection puts in.
    PodsIstioProxyImageMismatchInNamespace = "IST0158", Warning, "PodsIstioProxyImageMismatchInNamespace";
    /// Two Telemetries select one pod.
    ConflictingTelemetryWorkloadSelectors = "IST0159", Error, "ConflictingTelemetryWorkloadSelectors";
    /// Two Telemetries of a namespace have no selector.
    MultipleTelemetriesWithoutWorkloadSelectors = "IST0160", Error, "MultipleTelemetriesWithoutWorkloadSelectors";
    /// A gateway's Secret holds no usable certificate.
    InvalidGatewayCredential = "IST0161", Error, "InvalidGatewayCredential";
    /// A gateway's port is no port of the Service in front of it.
    GatewayPortNotDefinedOnService = "IST0162", Warning, "GatewayPortNotDefinedOnService";
    /// The address of an external control plane is wrong.
    InvalidExternalControlPlaneConfig = "IST0163", Warning, "InvalidExternalControlPlaneConfig";
    /// The address of an external control plane is an IP.
    ExternalControlPlaneAddressIsNotAHostname = "IST0164", Info, "ExternalControlPlaneAddressIsNotAHostname";
    /// A Gateway that the control plane made for itself is named.
    ReferencedInternalGateway = "IST0165", Warning, "ReferencedInternalGateway";
    /// A selector on pods that policies reach by reference only.
    IneffectiveSelector = "IST0166", Warning, "IneffectiveSelector";
    /// A policy without effect.
    IneffectivePolicy = "IST0167", Warning, "IneffectivePolicy";
    /// A changed default whose effect cannot be told.
    UnknownUpgradeCompatibility = "IST0168", Warning, "UnknownUpgradeCompatibility";
    /// A changed default that has an effect.
    UpdateIncompatibility = "IST0169", Warning, "UpdateIncompatibility";
    /// A service is not the same in all clusters.
    MultiClusterInconsistentService = "IST0170", Warning, "MultiClusterInconsistentService";
    /// An object's status says that something is wrong.
    NegativeConditionStatus = "IST0171", Warning, "NegativeConditionStatus";
    /// The Gateway API's CRDs will be too old for the next version.
    FutureUnsupportedGatewayAPIVersion = "IST0172", Warning, "FutureUnsupportedGatewayAPIVersion";
    /// A subset that has no pods.
    DestinationRuleSubsetNotSelectPods = "IST0173", Error, "DestinationRuleSubsetNotSelectPods";
    /// A DestinationRule for a host that no service has.
    UnknownDestinationRuleHost = "IST0174", Warning, "UnknownDestinationRuleHost";
    /// Keys of tokens may be fetched from anywhere.
    JwksUriFetchUnrestricted = "IST0175", Warning, "JwksUriFetchUnrestricted";
    /// A CRD of the Gateway API is too old for its kind to be read.
    GatewayAPICRDVersionBelowMinimum = "IST0176", Warning, "GatewayAPICRDVersionBelowMinimum";
    /// ServiceEntries give one port of a host different protocols.
    ConflictingServiceEntryProtocol = "IST0177", Warning, "ConflictingServiceEntryProtocol";
    /// Something is accepted but has no effect in this version.
    NotYetEffective = "SGN0001", Warning, "NotYetEffective";
    /// An older VirtualService answers for the host.
    VirtualServiceLosesHost = "SGN0002", Warning, "VirtualServiceLosesHost";
    /// Conditions that no request can meet together.
    RouteNeverMatches = "SGN0003", Warning, "RouteNeverMatches";
    /// Weights that look like percentages and do not add to 100.
    WeightsDoNotAddUp = "SGN0004", Warning, "WeightsDoNotAddUp";
    /// The timeout ends the request before the last try.
    RetriesExceedTimeout = "SGN0005", Warning, "RetriesExceedTimeout";
    /// A DestinationRule and a PeerAuthentication contradict each other.
    MtlsPolicyConflict = "SGN0006", Error, "MtlsPolicyConflict";
    /// Pods without a proxy beside workloads that take only mutual TLS.
    PlaintextClientOfStrictWorkload = "SGN0007", Warning, "PlaintextClientOfStrictWorkload";
    /// A rule of a policy that no request can meet.
    PolicyMatchesNoRequest = "SGN0008", Warning, "PolicyMatchesNoRequest";
    /// A rule on requests for a port that carries bytes.
    HttpPolicyOnTcpPort = "SGN0009", Warning, "HttpPolicyOnTcpPort";
    /// A host in a policy that the same host with a port slips past.
    PolicyHostWithoutPortVariant = "SGN0010", Warning, "PolicyHostWithoutPortVariant";
    /// Tokens are verified, but nothing demands one.
    RequestAuthenticationWithoutPolicy = "SGN0011", Warning, "RequestAuthenticationWithoutPolicy";
    /// The running mesh did not take an object, or what was made of it.
    ConfigurationRejected = "SGN0012", Error, "ConfigurationRejected";
    /// A policy names a Service's port where the workload's counts.
    PolicyPortOfService = "SGN0013", Warning, "PolicyPortOfService";
    /// A rule on peers' identities where plaintext is taken, too.
    PlaintextSlipsPastPolicy = "SGN0014", Warning, "PlaintextSlipsPastPolicy";
    /// Routes for a service of another namespace, for every client of the mesh.
    VirtualServiceTakesHostOfOtherNamespace = "SGN0015", Info, "VirtualServiceTakesHostOfOtherNamespace";
    /// A DestinationRule whose place another one takes.
    DestinationRuleNeverChosen = "SGN0016", Warning, "DestinationRuleNeverChosen";
    /// A port of a protocol in which the server speaks first, whose protocol is not declared.
    ServerFirstPortSniffed = "SGN0017", Warning, "ServerFirstPortSniffed";
    /// A proxy of a version that the control plane does not serve. Found by `precheck` alone.
    ProxyVersionNotServed = "SGN0100", Warning, "ProxyVersionNotServed";
}

impl Code {
    /// A code by its id, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text))
    }
}
