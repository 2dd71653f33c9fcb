//! The mesh-wide settings that meaning depends on.

use sagene_api::istio::mesh_config::{IngressControllerMode, MeshConfig};

/// What MeshConfig and the installation say about the mesh as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// DNS domain of the cluster. Default `cluster.local`.
    pub domain: String,
    /// Trust domain of identities. Default `cluster.local`.
    pub trust_domain: String,
    /// Further names of the trust domain.
    pub trust_domain_aliases: Vec<String>,
    /// Namespace of mesh-wide policies. Default `istio-system`.
    pub root_namespace: String,
    /// Id of this cluster. Default `Kubernetes`.
    pub cluster_id: String,
    /// Mutual TLS between proxies without a DestinationRule. Default true.
    pub auto_mtls: bool,
    /// `exportTo` of services that have none. Default everywhere.
    pub default_service_export_to: Vec<String>,
    /// `exportTo` of virtual services that have none. Default everywhere.
    pub default_virtual_service_export_to: Vec<String>,
    /// `exportTo` of destination rules that have none. Default everywhere.
    pub default_destination_rule_export_to: Vec<String>,
    /// Which Ingresses are served, and where.
    pub ingress: IngressSettings,
}

/// Which Ingresses are served, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressSettings {
    /// Their class; empty where none are. Default `istio`.
    pub class: String,
    /// Whether those without a class are served, too. Default false.
    pub without_class: bool,
    /// Value of the label `istio` of the pods that serve them. Default `ingressgateway`.
    pub selector: String,
    /// Service in front of those pods. Default `istio-ingressgateway`.
    pub service: String,
}

impl Default for IngressSettings {
    fn default() -> Self {
        Self {
            class: "istio".to_owned(),
            without_class: false,
            selector: "ingressgateway".to_owned(),
            service: "istio-ingressgateway".to_owned(),
        }
    }
}

impl Mesh {
    /// What a MeshConfig means, in a cluster of this DNS domain and id.
    pub fn of(config: &MeshConfig, domain: &str, cluster_id: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            trust_domain: config.trust_domain.clone(),
            trust_domain_aliases: config.trust_domain_aliases.clone(),
            root_namespace: config.root_namespace.clone(),
            cluster_id: cluster_id.to_owned(),
            auto_mtls: config.enable_auto_mtls,
            default_service_export_to: config.default_service_export_to.clone(),
            default_virtual_service_export_to: config.default_virtual_service_export_to.clone(),
            default_destination_rule_export_to: config.default_destination_rule_export_to.clone(),
            ingress: IngressSettings {
                class: match config.ingress_controller_mode {
                    IngressControllerMode::Off => String::new(),
                    _ => config.ingress_class.clone(),
                },
                without_class: config.ingress_controller_mode == IngressControllerMode::Default,
                selector: config.ingress_selector.clone(),
                service: config.ingress_service.clone(),
            },
        }
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
            auto_mtls: true,
            default_service_export_to: Vec::new(),
            default_virtual_service_export_to: Vec::new(),
            default_destination_rule_export_to: Vec::new(),
            ingress: IngressSettings::default(),
        }
    }
}
