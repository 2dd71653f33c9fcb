//! The mesh-wide settings that generators read.

use sagene_api::Duration;
use sagene_api::istio::MeshConfig;
use sagene_api::istio::mesh_config::{
    self, MeshInboundTrafficPolicyMode, MeshOutboundTrafficPolicyMode, NormalizationType,
};
use sagene_api::istio::networking::traffic_policy::connection_pool::{H2UpgradePolicy, TcpKeepalive};
use sagene_api::istio::networking::traffic_policy::load_balancer::LocalityLoadBalancerSetting;
use sagene_api::istio::networking::virtual_service::HttpRetry;
use sagene_model::Mesh;

/// How far request paths are normalized before anything looks at them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathNormalization {
    /// Not at all.
    None,
    /// RFC 3986, and `\` becomes `/`.
    #[default]
    Base,
    /// And `//` becomes `/`.
    MergeSlashes,
    /// And `%2F` and `%5C` are decoded before.
    DecodeAndMergeSlashes,
}

/// How lines of the access log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogEncoding {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Settings of the whole mesh; the defaults are Istio's.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the shapes mean by.
    pub mesh: Mesh,
    /// Port of the sidecar's outbound listener.
    pub proxy_listen_port: u16,
    /// Port of the sidecar's inbound listener.
    pub proxy_inbound_listen_port: u16,
    /// Time allowed to connect.
    pub connect_timeout: Duration,
    /// Time allowed to tell the protocol of a connection; zero means no limit.
    pub protocol_detection_timeout: Duration,
    /// Keepalive of connections to endpoints.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// File of the access log; empty means none.
    pub access_log_file: String,
    /// Format of its lines; empty means Istio's.
    pub access_log_format: String,
    /// How its lines look.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether connections without a filter chain go unlogged.
    pub disable_envoy_listener_log: bool,
    /// Whether requests are traced.
    pub enable_tracing: bool,
    /// Share of requests traced, in percent.
    pub trace_sampling: f64,
    /// Where spans are sent where no provider is named.
    pub tracing: Option<mesh_config::proxy_config::Tracing>,
    /// Services that policies name.
    pub extension_providers: Vec<mesh_config::ExtensionProvider>,
    /// Those used where a policy names none.
    pub default_providers: Option<mesh_config::DefaultProviders>,
    /// Whether traffic for unknown hosts may leave.
    pub outbound_allow_any: bool,
    /// Whether inbound traffic goes to 127.0.0.1 instead of the pod's address.
    pub inbound_localhost: bool,
    /// Time between DNS queries of proxies.
    pub dns_refresh_rate: Duration,
    /// Whether HTTP/1.1 requests are sent over HTTP/2 by default.
    pub h2_upgrade: bool,
    /// How far paths are normalized.
    pub path_normalization: PathNormalization,
    /// Retries where a route says nothing; `None` means Istio's two.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// Whether ServiceEntries without addresses get some.
    pub address_allocation: bool,
    /// TLS between workloads.
    pub mesh_tls: mesh_config::TlsConfig,
    /// TLS with others where neither rule nor server says another.
    pub tls_defaults: mesh_config::TlsConfig,
    /// Preference of near endpoints where neither rule nor Service says another; `None` means none.
    pub locality_lb: Option<LocalityLoadBalancerSetting>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: Mesh::default(),
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            connect_timeout: Duration::from_secs(10),
            protocol_detection_timeout: Duration::ZERO,
            tcp_keepalive: None,
            access_log_file: String::new(),
            access_log_format: String::new(),
            access_log_encoding: AccessLogEncoding::Text,
            disable_envoy_listener_log: false,
            enable_tracing: true,
            trace_sampling: 1.0,
            tracing: None,
            extension_providers: Vec::new(),
            default_providers: None,
            outbound_allow_any: true,
            inbound_localhost: false,
            dns_refresh_rate: Duration::from_secs(60),
            h2_upgrade: false,
            path_normalization: PathNormalization::Base,
            default_http_retry_policy: None,
            address_allocation: true,
            mesh_tls: mesh_config::TlsConfig::default(),
            tls_defaults: mesh_config::TlsConfig::default(),
            locality_lb: Some(LocalityLoadBalancerSetting {
                enabled: Some(true),
                ..LocalityLoadBalancerSetting::default()
            }),
        }
    }
}

impl Settings {
    /// The settings that a MeshConfig means, in a cluster of this DNS domain and id.
    pub fn of(config: &MeshConfig, domain: &str, cluster_id: &str) -> Self {
        let sampling = config.default_config.tracing.as_ref().and_then(|tracing| tracing.sampling);
        Self {
            mesh: Mesh::of(config, domain, cluster_id),
            proxy_listen_port: port(config.proxy_listen_port, 15001),
            proxy_inbound_listen_port: port(config.proxy_inbound_listen_port, 15006),
            connect_timeout: config.connect_timeout,
            protocol_detection_timeout: config.protocol_detection_timeout,
            tcp_keepalive: config.tcp_keepalive.clone(),
            access_log_file: config.access_log_file.clone(),
            access_log_format: config.access_log_format.clone(),
            access_log_encoding: match config.access_log_encoding {
                mesh_config::AccessLogEncoding::Text => AccessLogEncoding::Text,
                mesh_config::AccessLogEncoding::Json => AccessLogEncoding::Json,
            },
            disable_envoy_listener_log: config.disable_envoy_listener_log,
            enable_tracing: config.enable_tracing,
            trace_sampling: sampling.unwrap_or(1.0),
            tracing: config.default_config.tracing.clone(),
            extension_providers: config.extension_providers.clone(),
            default_providers: config.default_providers.clone(),
            outbound_allow_any: config.outbound_traffic_policy.mode
                != MeshOutboundTrafficPolicyMode::RegistryOnly,
            inbound_localhost: config.inbound_traffic_policy.mode == MeshInboundTrafficPolicyMode::Localhost,
            dns_refresh_rate: config.dns_refresh_rate,
            h2_upgrade: config.h2_upgrade_policy == H2UpgradePolicy::Upgrade,
            path_normalization: normalization(config.path_normalization.normalization),
            default_http_retry_policy: config.default_http_retry_policy.clone(),
            // No MeshConfig says so: it is an option of the control plane.
            address_allocation: true,
            mesh_tls: config.mesh_mtls.clone().unwrap_or_default(),
            tls_defaults: config.tls_defaults.clone().unwrap_or_default(),
            locality_lb: config.locality_lb_setting.clone().filter(|setting| setting.enabled.unwrap_or(true)),
        }
    }
}

/// A port number, or Istio's where it is none.
fn port(number: u32, default: u16) -> u16 {
    u16::try_from(number).ok().filter(|number| *number != 0).unwrap_or(default)
}

fn normalization(declared: NormalizationType) -> PathNormalization {
    match declared {
        NormalizationType::None => PathNormalization::None,
        NormalizationType::Default | NormalizationType::Base => PathNormalization::Base,
        NormalizationType::MergeSlashes => PathNormalization::MergeSlashes,
        NormalizationType::DecodeAndMergeSlashes => PathNormalization::DecodeAndMergeSlashes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mesh_config_means_the_defaults() {
        let config = MeshConfig::from_layers([]).expect("defaults");
        let mut expected = Settings {
            extension_providers: config.extension_providers.clone(),
            default_providers: config.default_providers.clone(),
            ..Settings::default()
        };
        // Written out in MeshConfig, empty in ours: both mean everywhere.
        for list in [
            &mut expected.mesh.default_service_export_to,
            &mut expected.mesh.default_virtual_service_export_to,
            &mut expected.mesh.default_destination_rule_export_to,
        ] {
            *list = vec!["*".to_owned()];
        }
        assert_eq!(Settings::of(&config, "cluster.local", "Kubernetes"), expected);
    }
}
