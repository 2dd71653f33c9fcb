//! Calls a generic function for a kind that is known only at run time.

use sagene_api::{
    gateway_api, istio::extensions, istio::networking, istio::security, istio::telemetry, kubernetes,
};
use sagene_model::{Kind, snapshot::Collected};

/// A function generic over the kind.
pub(crate) trait Visitor {
    /// What it returns.
    type Output;
    /// Called with the type of the kind.
    fn visit<S>(self) -> Self::Output
    where
        S: Collected + Send + Sync + 'static,
        S::Status: Send + Sync;
}

/// Calls the visitor with the type of `kind`.
pub(crate) fn visit<V: Visitor>(kind: Kind, visitor: V) -> V::Output {
    match kind {
        Kind::Service => visitor.visit::<kubernetes::Service>(),
        Kind::EndpointSlice => visitor.visit::<kubernetes::EndpointSlice>(),
        Kind::Pod => visitor.visit::<kubernetes::Pod>(),
        Kind::Namespace => visitor.visit::<kubernetes::Namespace>(),
        Kind::Node => visitor.visit::<kubernetes::Node>(),
        Kind::Secret => visitor.visit::<kubernetes::Secret>(),
        Kind::ConfigMap => visitor.visit::<kubernetes::ConfigMap>(),
        Kind::ServiceAccount => visitor.visit::<kubernetes::ServiceAccount>(),
        Kind::Deployment => visitor.visit::<kubernetes::Deployment>(),
        Kind::Ingress => visitor.visit::<kubernetes::Ingress>(),
        Kind::MutatingWebhookConfiguration => visitor.visit::<kubernetes::MutatingWebhookConfiguration>(),
        Kind::VirtualService => visitor.visit::<networking::VirtualService>(),
        Kind::DestinationRule => visitor.visit::<networking::DestinationRule>(),
        Kind::Gateway => visitor.visit::<networking::Gateway>(),
        Kind::ServiceEntry => visitor.visit::<networking::ServiceEntry>(),
        Kind::WorkloadEntry => visitor.visit::<networking::WorkloadEntry>(),
        Kind::WorkloadGroup => visitor.visit::<networking::WorkloadGroup>(),
        Kind::Sidecar => visitor.visit::<networking::Sidecar>(),
        Kind::EnvoyFilter => visitor.visit::<networking::EnvoyFilter>(),
        Kind::ProxyConfig => visitor.visit::<networking::ProxyConfig>(),
        Kind::PeerAuthentication => visitor.visit::<security::PeerAuthentication>(),
        Kind::RequestAuthentication => visitor.visit::<security::RequestAuthentication>(),
        Kind::AuthorizationPolicy => visitor.visit::<security::AuthorizationPolicy>(),
        Kind::IngressClass => visitor.visit::<kubernetes::IngressClass>(),
        Kind::GatewayClass => visitor.visit::<gateway_api::GatewayClass>(),
        Kind::KubernetesGateway => visitor.visit::<gateway_api::KubernetesGateway>(),
        Kind::HttpRoute => visitor.visit::<gateway_api::HttpRoute>(),
        Kind::GrpcRoute => visitor.visit::<gateway_api::GrpcRoute>(),
        Kind::TlsRoute => visitor.visit::<gateway_api::TlsRoute>(),
        Kind::TcpRoute => visitor.visit::<gateway_api::TcpRoute>(),
        Kind::ReferenceGrant => visitor.visit::<gateway_api::ReferenceGrant>(),
        Kind::Telemetry => visitor.visit::<telemetry::Telemetry>(),
        Kind::WasmPlugin => visitor.visit::<extensions::WasmPlugin>(),
    }
}

/// The kind with this `kind` and API group.
pub(crate) fn by_name(kind: &str, group: &str) -> Option<Kind> {
    struct Group;
    impl Visitor for Group {
        type Output = &'static str;
        fn visit<S: Collected + Send + Sync + 'static>(self) -> &'static str
        where
            S::Status: Send + Sync,
        {
            S::GROUP
        }
    }
    Kind::ALL.iter().copied().find(|known| known.name() == kind && visit(*known, Group) == group)
}
