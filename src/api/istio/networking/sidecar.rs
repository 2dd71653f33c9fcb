//! Sidecar: what the proxies of a namespace or workload listen on and may reach.

use super::common::{CaptureMode, Destination, LabelSelector};
use super::gateway::ServerTlsSettings;
use super::traffic_policy::ConnectionPoolSettings;
use crate::istio::IstioStatus;

shape! {
    /// Scope of the proxies beside the selected workloads.
    pub struct Sidecar {
        /// Workloads it applies to; absent means the namespace.
        pub workload_selector: Option<LabelSelector>,
        /// Ports opened for the application; empty means those of its services.
        pub ingress: Vec<IstioIngressListener>,
        /// What the application may reach; empty means all that is exported to the namespace.
        pub egress: Vec<IstioEgressListener>,
        /// Limits of connections to the application.
        pub inbound_connection_pool: Option<ConnectionPoolSettings>,
        /// What happens to traffic for unknown hosts.
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    }

    /// A port opened for the application.
    #[shape(extend("required" = ["port"]))]
    pub struct IstioIngressListener {
        /// The port.
        pub port: SidecarPort,
        /// Address to listen on; empty means the pod's.
        pub bind: String,
        /// How traffic gets there.
        pub capture_mode: CaptureMode,
        /// The application: `127.0.0.1:port`, `0.0.0.0:port`, `[::1]:port` or `unix:///path`; empty means the same port.
        pub default_endpoint: String,
        /// TLS of the port, where Istio's own is not used.
        pub tls: Option<ServerTlsSettings>,
        /// Limits of connections to the application.
        pub connection_pool: Option<ConnectionPoolSettings>,
    }

    /// Services the application may reach.
    #[shape(extend("required" = ["hosts"]))]
    pub struct IstioEgressListener {
        /// A port of its own; absent means every port not named by another entry.
        pub port: Option<SidecarPort>,
        /// Address or `unix://` path to listen on.
        pub bind: String,
        /// How traffic gets there.
        pub capture_mode: CaptureMode,
        /// Hosts as `namespace/host`, with `.`, `*` and `~` (none) for the namespace.
        pub hosts: Vec<String>,
    }

    /// A port of a listener.
    #[derive(Eq)]
    pub struct SidecarPort {
        /// Number.
        pub number: u32,
        /// Protocol.
        pub protocol: String,
        /// Label of the port.
        pub name: String,
        /// Deprecated: not used.
        pub target_port: u32,
    }

    /// What happens to traffic for unknown hosts.
    #[derive(Eq)]
    pub struct OutboundTrafficPolicy {
        /// Whether it may leave.
        pub mode: OutboundTrafficPolicyMode,
        /// A gateway it leaves through.
        pub egress_proxy: Option<Destination>,
    }
}

string_enum! {
    /// Whether traffic for unknown hosts may leave.
    pub enum OutboundTrafficPolicyMode {
        /// No.
        RegistryOnly = "REGISTRY_ONLY",
        /// Yes.
        AllowAny = "ALLOW_ANY",
    }
}

resource!(
    Sidecar,
    "networking.istio.io",
    "Sidecar",
    "sidecars",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
