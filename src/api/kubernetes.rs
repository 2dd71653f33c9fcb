//! The slice of Kubernetes' own API that a mesh reads, one file per kind. Fields nobody here reads are left out; the
//! embedded cluster and the store keep whole objects as JSON.

use std::borrow::Cow;

use serde_json::Value;

use crate::shape::{Form, Mistake, Reader, Shape};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntOrString {
    /// By number.
    Int(i64),
    /// By name.
    String(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl Shape for IntOrString {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = match reader.into_value() {
            Value::Number(number) if number.is_i64() => Self::Int(number.as_i64().unwrap_or_default()),
            Value::String(text) => Self::String(text),
            _ => return Err(Mistake::custom("expected a number or a name")),
        };
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        match self {
            Self::Int(number) => Form::Number((*number).into()),
            Self::String(text) => Form::Text(Cow::Borrowed(text)),
        }
    }

    /// Number zero is a port like any other here: it is refused where it stands.
    fn is_blank(&self) -> bool {
        false
    }

    fn schema() -> Value {
        crate::istio::status::int_or_string()
    }
}

serde_by_shape!(IntOrString);
