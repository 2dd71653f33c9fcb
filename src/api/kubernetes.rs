//! The slice of Kubernetes' own API that a mesh reads, one file per kind. Fields nobody here reads are left out; the
//! embedded cluster and the store keep whole objects as JSON.

pub mod admission;
pub mod config_map;
pub mod deployment;
pub mod endpoint_slice;
pub mod ingress;
pub mod ingress_class;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod secret;
pub mod selector;
pub mod service;
pub mod service_account;

pub use admission::MutatingWebhookConfiguration;
pub use config_map::ConfigMap;
pub use deployment::Deployment;
pub use endpoint_slice::EndpointSlice;
pub use ingress::Ingress;
pub use ingress_class::IngressClass;
pub use namespace::Namespace;
pub use node::Node;
pub use pod::Pod;
pub use secret::Secret;
pub use selector::LabelSelector;
pub use service::Service;
pub use service_account::ServiceAccount;

/// A port given by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum IntOrString {
    /// By number.
    Int(i64),
    /// By name.
    String(String),
}
