//! MeshConfig: settings of the whole mesh, from key `mesh` of ConfigMap `istio`. An absent field means the default given
//! here. Layers (defaults, file, ConfigMap, shared ConfigMap) are merged as JSON before they are read, because only there
//! is it known which fields a layer sets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::networking::traffic_policy::connection_pool::{H2UpgradePolicy, TcpKeepalive};
use super::networking::traffic_policy::load_balancer::{
    LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting,
};
use super::networking::traffic_policy::{ConnectionPoolSettings, OutlierDetection};
use super::networking::virtual_service::HttpRetry;
use crate::Duration;
use crate::kubernetes::LabelSelector;
use crate::object::{ParseError, read_at};
use crate::schema::proto_names::to_json_names;

pub mod extension_provider;
pub mod merge;
pub mod proxy_config;

pub use extension_provider::ExtensionProvider;
pub use proxy_config::ProxyConfig;

shape_with_defaults! {
    /// Settings of the whole mesh.
    pub struct MeshConfig {
        /// Port of a sidecar's outbound listener.
        pub proxy_listen_port: u32 = 15001,
        /// Port of a sidecar's inbound listener.
        pub proxy_inbound_listen_port: u32 = 15006,
        /// Port of an HTTP proxy for the application; zero means none.
        pub proxy_http_port: u32 = 0,
        /// Time allowed to connect to an endpoint.
        pub connect_timeout: Duration = Duration::from_secs(10),
        /// Longest silence of a tunnel between proxies; absent means one hour.
        pub hbone_idle_timeout: Option<Duration> = None,
        /// Time allowed to tell the protocol of a connection; zero means no limit.
        pub protocol_detection_timeout: Duration = Duration::ZERO,
        /// Keepalive of connections to endpoints.
        pub tcp_keepalive: Option<TcpKeepalive> = None,
        /// Class of the Ingresses that are served.
        pub ingress_class: String = "istio".into(),
        /// Service of the ingress gateway.
        pub ingress_service: String = "istio-ingressgateway".into(),
        /// Which Ingresses are served.
        pub ingress_controller_mode: IngressControllerMode = IngressControllerMode::Strict,
        /// Value of label `istio` of the gateway that serves Ingresses.
        pub ingress_selector: String = "ingressgateway".into(),
        /// Whether requests are traced.
        pub enable_tracing: bool = true,
        /// File the access log goes to; empty means none.
        pub access_log_file: String = String::new(),
        /// Format of the access log; empty means the default.
        pub access_log_format: String = String::new(),
        /// Encoding of the access log.
        pub access_log_encoding: AccessLogEncoding = AccessLogEncoding::Text,
        /// Whether access logs are sent to the service of the proxy configuration.
        pub enable_envoy_access_log_service: bool = false,
        /// Whether listeners keep no log of connections without a filter chain.
        pub disable_envoy_listener_log: bool = false,
        /// Settings of proxies.
        pub default_config: ProxyConfig = ProxyConfig::default(),
        /// What happens to traffic for unknown hosts.
        pub outbound_traffic_policy: MeshOutboundTrafficPolicy = MeshOutboundTrafficPolicy::default(),
        /// How traffic reaches the application.
        pub inbound_traffic_policy: MeshInboundTrafficPolicy = MeshInboundTrafficPolicy::default(),
        /// Where configuration comes from, besides Kubernetes.
        pub config_sources: Vec<ConfigSource> = Vec::new(),
        /// Whether clients use mutual TLS where servers take it.
        pub enable_auto_mtls: bool = true,
        /// The mesh's part of every identity.
        pub trust_domain: String = "cluster.local".into(),
        /// Other trust domains that are the same as ours.
        pub trust_domain_aliases: Vec<String> = Vec::new(),
        /// Further trusted roots.
        pub ca_certificates: Vec<CertificateData> = Vec::new(),
        /// A certificate authority besides our own.
        pub ca: Option<CertificateAuthority> = None,
        /// Deprecated: certificates for the DNS names of services.
        pub certificates: Vec<DnsCertificate> = Vec::new(),
        /// Namespaces that see a Service by default.
        pub default_service_export_to: Vec<String> = vec!["*".into()],
        /// Namespaces that see a VirtualService by default.
        pub default_virtual_service_export_to: Vec<String> = vec!["*".into()],
        /// Namespaces that see a DestinationRule by default.
        pub default_destination_rule_export_to: Vec<String> = vec!["*".into()],
        /// Namespace of the control plane, whose policies are mesh-wide.
        pub root_namespace: String = "istio-system".into(),
        /// Preference of near endpoints.
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting> = Some(LocalityLoadBalancerSetting {
            enabled: Some(true),
            ..LocalityLoadBalancerSetting::default()
        }),
        /// Preference of the same zone.
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting> = None,
        /// Time between DNS queries of proxies.
        pub dns_refresh_rate: Duration = Duration::from_secs(60),
        /// Whether HTTP/1.1 is upgraded to HTTP/2.
        pub h2_upgrade_policy: H2UpgradePolicy = H2UpgradePolicy::Default,
        /// Name of inbound clusters in statistics; empty means the default.
        pub inbound_cluster_stat_name: String = String::new(),
        /// Name of outbound clusters in statistics; empty means the default.
        pub outbound_cluster_stat_name: String = String::new(),
        /// Deprecated: file of roots that verify clients.
        pub verify_certificate_at_client: Option<bool> = None,
        /// Whether the application's metrics are merged with the proxy's.
        pub enable_prometheus_merge: bool = true,
        /// Providers policies can name.
        pub extension_providers: Vec<ExtensionProvider> = Vec::new(),
        /// Providers used where a policy names none.
        pub default_providers: Option<DefaultProviders> = None,
        /// Namespaces that are seen at all, any of the selectors; empty means all.
        pub discovery_selectors: Vec<LabelSelector> = Vec::new(),
        /// How paths are normalized before they are compared.
        pub path_normalization: ProxyPathNormalization = ProxyPathNormalization::default(),
        /// Retries where a route says nothing; absent means two.
        pub default_http_retry_policy: Option<HttpRetry> = None,
        /// Retries of inbound requests; absent means two, on resets before the request.
        pub default_inbound_http_retry_policy: Option<HttpRetry> = None,
        /// Policies where a DestinationRule says nothing.
        pub default_traffic_policy: Option<DefaultTrafficPolicy> = None,
        /// Least TLS between sidecars.
        #[shape(name = "meshMTLS")]
        pub mesh_mtls: Option<TlsConfig> = None,
        /// Least TLS elsewhere.
        pub tls_defaults: Option<TlsConfig> = None,
        /// Settings of single services.
        pub service_settings: Vec<ServiceSettings> = Vec::new(),
        /// Scope of services across clusters.
        pub service_scope_configs: Vec<ServiceScopeConfig> = Vec::new(),
        /// Who sees ServiceEntries; kept as written.
        pub service_entry_visibility: Option<Value> = None,
    }

    /// What happens to traffic for unknown hosts.
    pub struct MeshOutboundTrafficPolicy {
        /// Whether it may leave.
        pub mode: MeshOutboundTrafficPolicyMode = MeshOutboundTrafficPolicyMode::AllowAny,
    }
}

shape! {
    /// How traffic reaches the application.
    #[derive(Eq)]
    pub struct MeshInboundTrafficPolicy {
        /// By which address.
        pub mode: MeshInboundTrafficPolicyMode,
    }

    /// Where configuration comes from.
    #[derive(Eq)]
    pub struct ConfigSource {
        /// `fs:///path`, `xds://host:port` or `k8s://`.
        pub address: String,
        /// What is taken from there.
        pub subscribed_resources: Vec<String>,
    }

    /// A trusted root.
    #[derive(Eq)]
    pub struct CertificateData {
        /// As PEM.
        pub pem: Option<String>,
        /// As SPIFFE bundle at this URL.
        pub spiffe_bundle_url: Option<String>,
        /// Signers it belongs to.
        pub cert_signers: Vec<String>,
        /// Trust domains it is for.
        pub trust_domains: Vec<String>,
    }

    /// A certificate authority besides our own.
    #[derive(Eq)]
    pub struct CertificateAuthority {
        /// Address.
        pub address: String,
        /// Time allowed; absent means 10 s.
        pub request_timeout: Option<Duration>,
        /// Whether the control plane stands in front of it.
        pub istiod_side: bool,
    }

    /// Deprecated: a certificate for DNS names.
    #[derive(Eq)]
    pub struct DnsCertificate {
        /// Secret it is kept in.
        pub secret_name: String,
        /// Names.
        pub dns_names: Vec<String>,
    }

    /// Providers used where a policy names none.
    #[derive(Eq)]
    pub struct DefaultProviders {
        /// Of traces.
        pub tracing: Vec<String>,
        /// Of metrics.
        pub metrics: Vec<String>,
        /// Of access logs.
        pub access_logging: Vec<String>,
    }

    /// How paths are normalized.
    #[derive(Eq)]
    pub struct ProxyPathNormalization {
        /// How far.
        pub normalization: NormalizationType,
    }

    /// Policies where a DestinationRule says nothing.
    #[derive(Eq)]
    pub struct DefaultTrafficPolicy {
        /// Limits and timeouts of connections.
        pub connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is taken out.
        pub outlier_detection: Option<OutlierDetection>,
    }

    /// Least TLS.
    #[derive(Eq)]
    pub struct TlsConfig {
        /// Lowest version.
        pub min_protocol_version: MeshTlsProtocol,
        /// Elliptic curves.
        pub ecdh_curves: Vec<String>,
        /// Cipher suites.
        pub cipher_suites: Vec<String>,
    }

    /// Settings of single services.
    #[derive(Eq)]
    pub struct ServiceSettings {
        /// The settings.
        pub settings: ServiceSettingsSettings,
        /// Hosts they are for, exact or wildcard.
        pub hosts: Vec<String>,
    }

    /// The settings of a service.
    #[derive(Eq)]
    pub struct ServiceSettingsSettings {
        /// Whether it is reached in its own cluster only.
        pub cluster_local: bool,
    }

    /// Scope of services across clusters.
    #[derive(Eq)]
    pub struct ServiceScopeConfig {
        /// Namespaces.
        pub namespace_selector: Option<LabelSelector>,
        /// Services.
        pub services_selector: Option<LabelSelector>,
        /// `LOCAL` or `GLOBAL`.
        pub scope: String,
    }

    /// Key `meshNetworks` of the same ConfigMap.
    pub struct MeshNetworks {
        /// Networks by name.
        pub networks: BTreeMap<String, Network>,
    }

    /// A network.
    pub struct Network {
        /// Which endpoints belong to it.
        pub endpoints: Vec<NetworkEndpoints>,
        /// How it is entered.
        pub gateways: Vec<NetworkGateway>,
    }

    /// Which endpoints belong to a network.
    #[derive(Eq)]
    pub struct NetworkEndpoints {
        /// By address.
        pub from_cidr: Option<String>,
        /// By cluster.
        pub from_registry: Option<String>,
    }

    /// How a network is entered.
    #[derive(Eq)]
    pub struct NetworkGateway {
        /// By Service.
        pub registry_service_name: Option<String>,
        /// By address.
        pub address: Option<String>,
        /// Port.
        pub port: u32,
        /// Where the gateway is.
        pub locality: String,
    }
}

string_enum! {
    /// Which Ingresses are served.
    pub enum IngressControllerMode {
        /// Not said.
        Unspecified = "UNSPECIFIED",
        /// None.
        Off = "OFF",
        /// Those of our class and those without a class.
        Default = "DEFAULT",
        /// Those of our class.
        Strict = "STRICT",
    }

    /// Encoding of the access log.
    pub enum AccessLogEncoding {
        /// Lines of text.
        Text = "TEXT",
        /// Lines of JSON.
        Json = "JSON",
    }

    /// Whether traffic for unknown hosts may leave.
    pub enum MeshOutboundTrafficPolicyMode {
        /// No.
        RegistryOnly = "REGISTRY_ONLY",
        /// Yes.
        AllowAny = "ALLOW_ANY",
        /// Yes, by a DNS query of the name asked for.
        AllowAnyDynamicDns = "ALLOW_ANY_DYNAMIC_DNS",
    }

    /// By which address traffic reaches the application.
    pub enum MeshInboundTrafficPolicyMode {
        /// The pod's.
        Passthrough = "PASSTHROUGH",
        /// 127.0.0.1.
        Localhost = "LOCALHOST",
    }

    /// How far paths are normalized.
    pub enum NormalizationType {
        /// As `BASE`.
        Default = "DEFAULT",
        /// Not at all.
        None = "NONE",
        /// RFC 3986, and `\` becomes `/`.
        Base = "BASE",
        /// And `//` becomes `/`.
        MergeSlashes = "MERGE_SLASHES",
        /// And `%2F` and `%5C` are decoded before.
        DecodeAndMergeSlashes = "DECODE_AND_MERGE_SLASHES",
    }

    /// Versions of TLS.
    pub enum MeshTlsProtocol {
        /// The default.
        TlsAuto = "TLS_AUTO",
        /// 1.2.
        TlsV1_2 = "TLSV1_2",
        /// 1.3.
        TlsV1_3 = "TLSV1_3",
    }
}

impl MeshConfig {
    /// Merges layers, least important first, over the defaults and reads the result.
    pub fn from_layers(layers: impl IntoIterator<Item = Value>) -> Result<Self, ParseError> {
        let merged = layers.into_iter().fold(merge::default_layer(), |mut base, mut layer| {
            to_json_names::<Self>(&mut layer);
            merge::merge_mesh_layer(&mut base, layer);
            base
        });
        read_at(merged, "")
    }

    /// The provider policies name `name`, including the built-in ones where the mesh does not define them.
    pub fn extension_provider(&self, name: &str) -> Option<&ExtensionProvider> {
        self.extension_providers.iter().find(|provider| provider.name == name)
    }
}
