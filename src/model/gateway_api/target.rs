//! Policies that name what they are for by `targetRefs`: the proxies of a Gateway, or of all Gateways of a class.

use sagene_api::istio::types::PolicyTargetReference;

use super::listener::GATEWAY_NAME_LABEL;
use crate::labels::Labels;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// What the targets of a policy stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The proxies of one Gateway of the policy's namespace.
    Gateway,
    /// The proxies of all Gateways of a class; only in the root namespace.
    GatewayClass,
    /// Services and other kinds, which concern waypoints alone.
    Other,
}

/// The kind of a target.
pub fn target_of(reference: &PolicyTargetReference) -> Target {
    match (reference.group.as_str(), reference.kind.as_str()) {
        ("gateway.networking.k8s.io", "Gateway") => Target::Gateway,
        ("gateway.networking.k8s.io", "GatewayClass") => Target::GatewayClass,
        _ => Target::Other,
    }
}

/// Whether one of the targets of a policy of `namespace` is the proxy of `proxy_namespace` with these labels.
pub fn is_targeted<'t>(
    targets: impl IntoIterator<Item = &'t PolicyTargetReference>,
    namespace: &str,
    (snapshot, mesh): (&Snapshot, &Mesh),
    proxy_namespace: &str,
    labels: &Labels,
) -> bool {
    let Some(gateway) = labels.get(GATEWAY_NAME_LABEL) else { return false };
    targets.into_iter().any(|target| match target_of(target) {
        Target::Gateway => namespace == proxy_namespace && target.name == *gateway,
        Target::GatewayClass => {
            let gateway = snapshot.kubernetes_gateways.get(proxy_namespace, gateway);
            namespace == mesh.root_namespace
                && gateway.is_some_and(|gateway| gateway.spec.gateway_class_name == target.name)
        }
        Target::Other => false,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sagene_api::Object;
    use sagene_api::gateway_api::KubernetesGateway;

    use super::*;

    #[test]
    fn gateways_and_classes_are_aimed_at() {
        let mut snapshot = Snapshot::default();
        let gateway = KubernetesGateway { gateway_class_name: "istio".to_owned(), ..Default::default() };
        let _new = snapshot.insert(Arc::new(Object::new("shop", "front", gateway)));
        let mesh = Mesh::default();
        let labels: Labels = [(GATEWAY_NAME_LABEL.to_owned(), "front".to_owned())].into();
        let aims = |kind: &str, name: &str, namespace: &str| {
            let group = "gateway.networking.k8s.io".to_owned();
            let target = PolicyTargetReference {
                group,
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..PolicyTargetReference::default()
            };
            is_targeted([&target], namespace, (&snapshot, &mesh), "shop", &labels)
        };
        assert!(aims("Gateway", "front", "shop"));
        assert!(!aims("Gateway", "front", "istio-system") && !aims("Gateway", "back", "shop"));
        assert!(aims("GatewayClass", "istio", "istio-system") && !aims("GatewayClass", "istio", "shop"));
        assert!(!aims("Service", "front", "shop"));
    }
}
