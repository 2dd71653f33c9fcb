//! The type URLs of the resources Istio's proxies subscribe to, and their short names.

/// Clusters (CDS).
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// Endpoints (EDS).
pub const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// Listeners (LDS).
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// Route configurations (RDS).
pub const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// Secrets (SDS).
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Extension configurations (ECDS).
pub const EXTENSION_CONFIG: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
/// The table of names a proxy's DNS server answers from (NDS).
pub const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
/// Settings of the proxy, with the mesh's trust bundle (PCDS).
pub const PROXY_CONFIG: &str = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";
/// Bootstrap (BDS).
pub const BOOTSTRAP: &str = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap";
/// Health of a workload outside Kubernetes; client to server only.
pub const HEALTH_INFORMATION: &str = "type.googleapis.com/istio.v1.HealthInformation";
/// Debug views by name.
pub const DEBUG: &str = "istio.io/debug";
/// Which proxies have which configuration.
pub const DEBUG_SYNC: &str = "istio.io/debug/syncz";
/// What one proxy was sent.
pub const DEBUG_CONFIG_DUMP: &str = "istio.io/debug/config_dump";

/// The order in which types are pushed; others follow in order of their URL.
pub const PUSH_ORDER: [&str; 5] = [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET];

/// Istio's short name (`CDS`), or the URL itself for a type that has none.
pub fn short_name(type_url: &str) -> &str {
    match type_url {
        CLUSTER => "CDS",
        ENDPOINT => "EDS",
        LISTENER => "LDS",
        ROUTE => "RDS",
        SECRET => "SDS",
        EXTENSION_CONFIG => "ECDS",
        NAME_TABLE => "NDS",
        PROXY_CONFIG => "PCDS",
        BOOTSTRAP => "BDS",
        other => other,
    }
}
