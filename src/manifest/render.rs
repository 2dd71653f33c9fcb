//! Renders an [`Installation`] to Kubernetes objects: base (CRDs, reader account), the control plane, gateways.
//!
//! Objects carry Istio's names and labels, so that tools written for Istio find them. Built by code on JSON values.

mod access;
mod base;
mod config;
mod customize;
mod gateway;
mod istiod;
mod labels;
mod order;
mod webhook;
mod workload;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::profile::Installation;

pub use base::reader;
pub use labels::{COMPONENT_LABEL, MANAGED_LABEL, OWNER_LABEL, OWNER_NAMESPACE_LABEL, VERSION_LABEL, owner};
pub use order::sort;
pub use webhook::{deactivated, default_validator, injector, is_deactivated, revision_tag, tag_service};

/// A part of an installation, in the order of dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// CRDs, reader account, validation.
    Base,
    /// The control plane.
    Pilot,
    /// Gateways for traffic from outside.
    IngressGateways,
    /// Gateways for traffic to the outside.
    EgressGateways,
}

impl Component {
    /// All, in the order of dependency.
    pub const ALL: [Self; 4] = [Self::Base, Self::Pilot, Self::IngressGateways, Self::EgressGateways];

    /// Value of the label `operator.istio.io/component`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Base => "Base",
            Self::Pilot => "Pilot",
            Self::IngressGateways => "IngressGateways",
            Self::EgressGateways => "EgressGateways",
        }
    }

    /// Whether it consists of proxies, which need the control plane to run.
    #[must_use]
    pub const fn is_gateway(self) -> bool {
        matches!(self, Self::IngressGateways | Self::EgressGateways)
    }

    /// The name that progress lines use.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Base => "Istio core",
            Self::Pilot => "Istiod",
            Self::IngressGateways => "Ingress gateways",
            Self::EgressGateways => "Egress gateways",
        }
    }
}

/// The objects of one component, in the order to apply them.
#[derive(Debug, Clone)]
pub struct RenderedComponent {
    /// Which part.
    pub component: Component,
    /// Complete objects.
    pub objects: Vec<Value>,
}

/// Why an installation cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A `k8s.overlays` or another Kubernetes setting does not fit the objects.
    #[error("components.{component}: {reason}")]
    Component {
        /// Component or gateway name.
        component: String,
        /// What does not fit.
        reason: String,
    },
}

/// Renders all components that are on. Components without objects are left out.
///
/// # Errors
/// When a Kubernetes setting of a component does not fit.
pub fn render(installation: &Installation) -> Result<Vec<RenderedComponent>, RenderError> {
    let mut rendered = Vec::new();
    for component in Component::ALL {
        let mut objects = match component {
            Component::Base => base::objects(installation),
            Component::Pilot => istiod::objects(installation)?,
            Component::IngressGateways => gateway::objects(installation, gateway::Direction::Ingress)?,
            Component::EgressGateways => gateway::objects(installation, gateway::Direction::Egress)?,
        };
        if objects.is_empty() {
            continue;
        }
        for object in &mut objects {
            labels::own(object, component, installation);
        }
        order::sort(&mut objects);
        rendered.push(RenderedComponent { component, objects });
    }
    Ok(rendered)
}
