//! EndpointSlice: some of the endpoints of a Service.

use crate::SortedMap;

/// Label that names the Service of a slice.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

shape! {
    /// Some endpoints and the ports they all have.
    #[derive(Eq)]
    pub struct EndpointSlice {
        /// `IPv4`, `IPv6` or `FQDN`.
        pub address_type: String,
        /// The endpoints.
        pub endpoints: Vec<Endpoint>,
        /// The ports.
        pub ports: Vec<EndpointPort>,
    }

    /// One endpoint.
    #[derive(Eq)]
    pub struct Endpoint {
        /// Addresses; the first is used.
        pub addresses: Vec<String>,
        /// State.
        pub conditions: EndpointConditions,
        /// Host name within a headless service.
        pub hostname: String,
        /// The pod behind it.
        pub target_ref: Option<ObjectReference>,
        /// Node it runs on.
        pub node_name: String,
        /// Zone it runs in.
        pub zone: String,
        /// Labels of former versions of the API.
        pub deprecated_topology: SortedMap<String, String>,
    }

    /// State of an endpoint.
    #[derive(Eq)]
    pub struct EndpointConditions {
        /// Whether it takes traffic; absent means yes.
        pub ready: Option<bool>,
        /// Whether it answers, even while it ends; absent means as `ready`.
        pub serving: Option<bool>,
        /// Whether it ends.
        pub terminating: Option<bool>,
    }

    /// A port of every endpoint of the slice.
    #[derive(Eq)]
    pub struct EndpointPort {
        /// Name of the service's port.
        pub name: String,
        /// Number; absent means every port.
        pub port: Option<u16>,
        /// `TCP`, `UDP` or `SCTP`.
        pub protocol: String,
        /// Application protocol.
        pub app_protocol: String,
    }

    /// A pointer to an object.
    #[derive(Eq)]
    pub struct ObjectReference {
        /// Kind.
        pub kind: String,
        /// Namespace.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Uid.
        pub uid: String,
    }
}

resource!(EndpointSlice, "discovery.k8s.io", "EndpointSlice", "endpointslices", true, ["v1"], flat = true);
