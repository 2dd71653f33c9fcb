//! Gateway and GatewayClass: listeners at the edge, and who serves them.

use super::reference::{LocalParametersReference, SecretObjectReference};
use crate::SortedMap;
use crate::kubernetes::LabelSelector;

shape! {
    /// Who serves Gateways of a class.
    #[derive(Eq)]
    pub struct GatewayClass {
        /// The controller, such as `istio.io/gateway-controller`.
        pub controller_name: String,
        /// Words for people.
        pub description: String,
    }

    /// Listeners at the edge.
    pub struct KubernetesGateway {
        /// Name of the GatewayClass.
        pub gateway_class_name: String,
        /// The listeners.
        pub listeners: Vec<Listener>,
        /// Addresses asked for; a host name stands for a Service that exists already.
        pub addresses: Vec<GatewayAddress>,
        /// What is put on the objects made for it.
        pub infrastructure: Option<GatewayInfrastructure>,
    }

    /// A port, its protocol and the host it is for.
    pub struct Listener {
        /// Name, unique in the Gateway.
        pub name: String,
        /// Host or wildcard; empty means all.
        pub hostname: String,
        /// Port.
        pub port: u16,
        /// `HTTP`, `HTTPS`, `TLS` or `TCP`.
        pub protocol: String,
        /// TLS of the listener.
        pub tls: Option<ListenerTls>,
        /// Which routes may attach.
        pub allowed_routes: Option<AllowedRoutes>,
    }

    /// TLS of a listener.
    #[derive(Eq)]
    pub struct ListenerTls {
        /// `Terminate` (also when empty) or `Passthrough`.
        pub mode: String,
        /// Certificates; the first counts.
        pub certificate_refs: Vec<SecretObjectReference>,
        /// Options of the implementation.
        pub options: SortedMap<String, String>,
    }

    /// Which routes may attach.
    pub struct AllowedRoutes {
        /// From which namespaces.
        pub namespaces: Option<RouteNamespaces>,
        /// Of which kinds; empty means those of the protocol.
        pub kinds: Vec<RouteGroupKind>,
    }

    /// From which namespaces routes may attach.
    pub struct RouteNamespaces {
        /// `Same` (also when empty), `All` or `Selector`.
        pub from: String,
        /// Labels of the namespaces.
        pub selector: Option<LabelSelector>,
    }

    /// A kind of routes.
    #[derive(Eq)]
    pub struct RouteGroupKind {
        /// API group; empty means the Gateway API's.
        pub group: String,
        /// Kind.
        pub kind: String,
    }

    /// An address.
    #[derive(Eq)]
    pub struct GatewayAddress {
        /// `IPAddress` (also when empty) or `Hostname`.
        pub r#type: String,
        /// The address.
        pub value: String,
    }

    /// What is put on the objects made for a Gateway.
    #[derive(Eq)]
    pub struct GatewayInfrastructure {
        /// Labels.
        pub labels: SortedMap<String, String>,
        /// Annotations.
        pub annotations: SortedMap<String, String>,
        /// What else is laid over these objects: a ConfigMap.
        pub parameters_ref: Option<LocalParametersReference>,
    }
}

resource!(
    GatewayClass,
    "gateway.networking.k8s.io",
    "GatewayClass",
    "gatewayclasses",
    false,
    ["v1", "v1beta1"]
);
resource!(KubernetesGateway, "gateway.networking.k8s.io", "Gateway", "gateways", true, ["v1", "v1beta1"]);
