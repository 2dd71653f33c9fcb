//! The mesh's settings as generators want them: ConfigMap `istio` (key `mesh`) over Istio's defaults.

use sagene_api::istio::mesh_config::{
    self, MeshConfig, MeshInboundTrafficPolicyMode, MeshOutboundTrafficPolicyMode, NormalizationType,
};
use sagene_api::istio::networking::traffic_policy::connection_pool::H2UpgradePolicy;
use sagene_model::{Mesh, Snapshot};
use thiserror::Error;

use crate::{
    generate::settings::{AccessLogEncoding, PathNormalization, Settings},
    options::ControlPlaneOptions,
};

/// Why the ConfigMap cannot be used; what was in force stays.
#[derive(Debug, Error)]
pub(crate) enum MeshSettingsError {
    /// No YAML.
    #[error("ConfigMap {map}, key mesh is not valid YAML")]
    Yaml {
        /// The ConfigMap.
        map: String,
        /// The parser's words.
        #[source]
        source: serde_yaml::Error,
    },
    /// Not of the shape of a MeshConfig.
    #[error("ConfigMap {map}, key mesh")]
    Shape {
        /// The ConfigMap.
        map: String,
        /// Field and problem.
        #[source]
        source: sagene_api::ParseError,
    },
}

/// The MeshConfig in force.
pub(crate) fn mesh_config(
    snapshot: &Snapshot,
    options: &ControlPlaneOptions,
) -> Result<MeshConfig, MeshSettingsError> {
    let name = format!("istio{}", options.revision_suffix());
    let map = || format!("{}/{name}", options.namespace);
    let text = snapshot
        .config_maps
        .get(&options.namespace, &name)
        .and_then(|map| map.spec.data.get("mesh"))
        .map_or("", String::as_str);
    let layer: serde_json::Value = if text.trim().is_empty() {
        serde_json::json!({})
    } else {
        serde_yaml::from_str(text).map_err(|source| MeshSettingsError::Yaml { map: map(), source })?
    };
    MeshConfig::from_layers([layer]).map_err(|source| MeshSettingsError::Shape { map: map(), source })
}

/// What generators read of it.
pub(crate) fn settings(mesh: &MeshConfig, options: &ControlPlaneOptions) -> Settings {
    let defaults = Settings::default();
    let port = |value: u32, default: u16| u16::try_from(value).unwrap_or(default);
    Settings {
        mesh: Mesh {
            domain: options.domain.clone(),
            trust_domain: mesh.trust_domain.clone(),
            trust_domain_aliases: mesh.trust_domain_aliases.clone(),
            root_namespace: mesh.root_namespace.clone(),
            cluster_id: options.cluster_id.clone(),
            auto_mtls: mesh.enable_auto_mtls,
            default_service_export_to: mesh.default_service_export_to.clone(),
            default_virtual_service_export_to: mesh.default_virtual_service_export_to.clone(),
            default_destination_rule_export_to: mesh.default_destination_rule_export_to.clone(),
        },
        proxy_listen_port: port(mesh.proxy_listen_port, defaults.proxy_listen_port),
        proxy_inbound_listen_port: port(mesh.proxy_inbound_listen_port, defaults.proxy_inbound_listen_port),
        connect_timeout: mesh.connect_timeout,
        protocol_detection_timeout: mesh.protocol_detection_timeout,
        tcp_keepalive: mesh.tcp_keepalive.clone(),
        access_log_file: mesh.access_log_file.clone(),
        access_log_format: mesh.access_log_format.clone(),
        access_log_encoding: match mesh.access_log_encoding {
            mesh_config::AccessLogEncoding::Text => AccessLogEncoding::Text,
            mesh_config::AccessLogEncoding::Json => AccessLogEncoding::Json,
        },
        disable_envoy_listener_log: mesh.disable_envoy_listener_log,
        enable_tracing: mesh.enable_tracing,
        trace_sampling: defaults.trace_sampling,
        outbound_allow_any: mesh.outbound_traffic_policy.mode != MeshOutboundTrafficPolicyMode::RegistryOnly,
        inbound_localhost: mesh.inbound_traffic_policy.mode == MeshInboundTrafficPolicyMode::Localhost,
        dns_refresh_rate: mesh.dns_refresh_rate,
        h2_upgrade: mesh.h2_upgrade_policy == H2UpgradePolicy::Upgrade,
        path_normalization: match mesh.path_normalization.normalization {
            NormalizationType::None => PathNormalization::None,
            NormalizationType::Default | NormalizationType::Base => PathNormalization::Base,
            NormalizationType::MergeSlashes => PathNormalization::MergeSlashes,
            NormalizationType::DecodeAndMergeSlashes => PathNormalization::DecodeAndMergeSlashes,
        },
        default_http_retry_policy: mesh.default_http_retry_policy.clone(),
        locality_load_balancing: mesh
            .locality_lb_setting
            .as_ref()
            .is_none_or(|setting| setting.enabled != Some(false)),
    }
}
