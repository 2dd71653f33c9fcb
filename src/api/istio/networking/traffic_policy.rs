//! The traffic policy of a DestinationRule: load balancing, connection pools, outlier detection, TLS.

use super::common::PortSelector;
use crate::Duration;

pub mod connection_pool;
pub mod load_balancer;
pub mod outlier_detection;

pub use connection_pool::ConnectionPoolSettings;
pub use load_balancer::LoadBalancerSettings;
pub use outlier_detection::OutlierDetection;

shape! {
    /// Policies for connections to a destination.
    pub struct TrafficPolicy {
        /// How an endpoint is chosen.
        pub load_balancer: Option<LoadBalancerSettings>,
        /// Limits and timeouts of connections.
        pub connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is taken out.
        pub outlier_detection: Option<OutlierDetection>,
        /// TLS towards the destination.
        pub tls: Option<ClientTlsSettings>,
        /// Policies of single ports; an entry replaces the whole policy for its port.
        #[shape(length(max = 4096))]
        pub port_level_settings: Vec<PortTrafficPolicy>,
        /// Send the connection through another HTTP proxy.
        pub tunnel: Option<TunnelSettings>,
        /// Send a PROXY protocol header.
        pub proxy_protocol: Option<ProxyProtocol>,
        /// Limit of concurrent retries as a share of active requests.
        pub retry_budget: Option<RetryBudget>,
    }

    /// Policies for one port.
    pub struct PortTrafficPolicy {
        /// The port.
        pub port: Option<PortSelector>,
        /// How an endpoint is chosen.
        pub load_balancer: Option<LoadBalancerSettings>,
        /// Limits and timeouts of connections.
        pub connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is taken out.
        pub outlier_detection: Option<OutlierDetection>,
        /// TLS towards the destination.
        pub tls: Option<ClientTlsSettings>,
    }

    /// TLS towards a destination.
    #[derive(Eq)]
    pub struct ClientTlsSettings {
        /// Whether and how.
        pub mode: ClientTlsMode,
        /// File of the client certificate chain (MUTUAL).
        pub client_certificate: String,
        /// File of the client's key (MUTUAL).
        pub private_key: String,
        /// File of the CAs that verify the server; empty skips verification.
        pub ca_certificates: String,
        /// Secret with the certificates, in the proxy's namespace.
        pub credential_name: String,
        /// Names, one of which the server's certificate must carry.
        pub subject_alt_names: Vec<String>,
        /// Server name to send.
        pub sni: String,
        /// Whether any server certificate is accepted.
        #[shape(extend("nullable" = true))]
        pub insecure_skip_verify: Option<bool>,
        /// File of the certificate revocation list.
        pub ca_crl: String,
    }

    /// Another HTTP proxy on the way.
    #[derive(Eq)]
    #[shape(extend("required" = ["targetHost", "targetPort"]))]
    pub struct TunnelSettings {
        /// `CONNECT` (the default) or `POST`.
        pub protocol: String,
        /// Host asked of the proxy.
        pub target_host: String,
        /// Port asked of the proxy.
        pub target_port: u32,
    }

    /// PROXY protocol towards the destination.
    #[derive(Eq)]
    pub struct ProxyProtocol {
        /// Version of the header.
        pub version: ProxyProtocolVersion,
    }

    /// Limit of concurrent retries.
    pub struct RetryBudget {
        /// Share of active and pending requests that may be retries; absent means 20.
        #[shape(range(min = 0, max = 100), extend("nullable" = true))]
        pub percent: Option<f64>,
        /// Window over which requests are counted.
        #[shape(like = String)]
        pub budget_interval: Option<Duration>,
        /// Retries always allowed; zero means 3.
        pub min_retry_concurrency: u32,
    }
}

string_enum! {
    /// TLS towards a destination.
    pub enum ClientTlsMode {
        /// None.
        Disable = "DISABLE",
        /// TLS without a client certificate.
        Simple = "SIMPLE",
        /// TLS with a client certificate from files or a secret.
        Mutual = "MUTUAL",
        /// TLS with the workload's own identity.
        IstioMutual = "ISTIO_MUTUAL",
    }

    /// Version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// Text.
        V1 = "V1",
        /// Binary.
        V2 = "V2",
    }
}
