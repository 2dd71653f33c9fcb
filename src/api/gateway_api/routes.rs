//! GRPCRoute, TLSRoute and TCPRoute.

use super::http_route::{RouteBackend, RouteFilter, ValueMatch};
use super::reference::ParentReference;

shape! {
    /// Routes of gRPC calls.
    #[derive(Eq)]
    pub struct GrpcRoute {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference>,
        /// Hosts; empty means those of the listener.
        pub hostnames: Vec<String>,
        /// The rules.
        pub rules: Vec<GrpcRouteRule>,
    }

    /// What happens to calls that match.
    #[derive(Eq)]
    pub struct GrpcRouteRule {
        /// Conditions, any of which suffices; empty matches everything.
        pub matches: Vec<GrpcRouteMatch>,
        /// Changes on the way.
        pub filters: Vec<RouteFilter>,
        /// Weighted destinations.
        pub backend_refs: Vec<RouteBackend>,
    }

    /// Conditions on a call, all of which must hold.
    #[derive(Eq)]
    pub struct GrpcRouteMatch {
        /// Service and method.
        pub method: Option<GrpcMethodMatch>,
        /// Headers.
        pub headers: Vec<ValueMatch>,
    }

    /// Service and method.
    #[derive(Eq)]
    pub struct GrpcMethodMatch {
        /// `Exact` (also when empty) or `RegularExpression`.
        pub r#type: String,
        /// Service; empty means any.
        pub service: String,
        /// Method; empty means any.
        pub method: String,
    }

    /// Routes of TLS connections by server name.
    #[derive(Eq)]
    pub struct TlsRoute {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference>,
        /// Server names; empty means those of the listener.
        pub hostnames: Vec<String>,
        /// The rules; the first counts.
        pub rules: Vec<ConnectionRule>,
    }

    /// Routes of connections.
    #[derive(Eq)]
    pub struct TcpRoute {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference>,
        /// The rules; the first counts.
        pub rules: Vec<ConnectionRule>,
    }

    /// Where connections go.
    #[derive(Eq)]
    pub struct ConnectionRule {
        /// Weighted destinations.
        pub backend_refs: Vec<RouteBackend>,
    }
}

resource!(GrpcRoute, "gateway.networking.k8s.io", "GRPCRoute", "grpcroutes", true, ["v1"]);
resource!(
    TlsRoute,
    "gateway.networking.k8s.io",
    "TLSRoute",
    "tlsroutes",
    true,
    ["v1", "v1alpha3", "v1alpha2"]
);
resource!(TcpRoute, "gateway.networking.k8s.io", "TCPRoute", "tcproutes", true, ["v1", "v1alpha2"]);
