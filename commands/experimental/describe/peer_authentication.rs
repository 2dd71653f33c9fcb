//! The mutual TLS that a pod demands, and the policies that say so.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::security::PeerAuthentication;
use sagene_model::mesh::Mesh;
use sagene_model::peer_authentication::{MutualTls, effective};
use sagene_model::snapshot::Snapshot;
use serde_json::Value;

use super::Describer;
use crate::exit::Failure;
use crate::kubernetes::{Resource, text};

impl Describer<'_> {
    /// What the policies of the mesh, the namespace and the pod come to.
    pub(super) async fn peer_authentication(&self, pod: &Value) -> Result<Vec<String>, Failure> {
        let kind =
            Resource::known("security.istio.io", "v1", "PeerAuthentication", "peerauthentications", true);
        let namespace = text(pod, "/metadata/namespace");
        let mut policies = self.list(&kind, Some(self.istio), "").await?;
        if namespace != self.istio {
            policies.extend(self.list(&kind, Some(namespace), "").await?);
        }
        let policies: Vec<Object<PeerAuthentication>> =
            policies.into_iter().filter_map(|policy| Object::from_value(policy).ok()).collect();
        Ok(lines(&policies, pod, self.istio))
    }
}

fn lines(policies: &[Object<PeerAuthentication>], pod: &Value, root: &str) -> Vec<String> {
    let mesh = Mesh { root_namespace: root.to_owned(), ..Mesh::default() };
    let namespace = text(pod, "/metadata/namespace");
    let labels = pod["metadata"]["labels"].as_object().into_iter().flatten();
    let labels =
        labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let mut snapshot = Snapshot::default();
    for policy in policies {
        let _new = snapshot.insert(Arc::new(policy.clone()));
    }
    let mode = |mode| format!("{mode:?}").to_uppercase();
    let MutualTls { workload, ports } = effective(&snapshot, &mesh, namespace, &labels);
    let mut lines = vec!["Effective PeerAuthentication:".to_owned()];
    lines.push(format!("   Workload mTLS mode: {}", mode(workload)));
    if !ports.is_empty() {
        lines.push("   Port Level mTLS mode:".to_owned());
        lines.extend(ports.iter().map(|(port, of_port)| format!("      {port}: {}", mode(*of_port))));
    }
    let concerns = |policy: &&Object<PeerAuthentication>| {
        let selector = policy.spec.selector.as_ref().map(|selector| &selector.match_labels);
        let selector = selector.filter(|labels| !labels.is_empty());
        let in_root = policy.metadata.namespace == root && namespace != root;
        selector.is_none_or(|wanted| !in_root && sagene_model::labels::has_all(&labels, wanted))
    };
    let applied: Vec<String> = policies
        .iter()
        .filter(concerns)
        .map(|policy| format!("{}.{}", policy.metadata.name, policy.metadata.namespace))
        .collect();
    if !applied.is_empty() {
        lines.push("Applied PeerAuthentication:".to_owned());
        lines.push(format!("   {}", applied.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_effective_mode_and_its_reasons_are_told() {
        let policy = |namespace: &str, name: &str, spec: Value| {
            let value = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
            Object::<PeerAuthentication>::from_value(value).expect("a policy")
        };
        let selector = json!({"matchLabels": {"app": "x"}});
        let policies = [
            policy("istio-system", "default", json!({"mtls": {"mode": "STRICT"}})),
            policy("foo", "x", json!({"selector": selector, "portLevelMtls": {"80": {"mode": "DISABLE"}}})),
            policy("foo", "other", json!({"selector": {"matchLabels": {"app": "y"}}})),
        ];
        let pod = json!({"metadata": {"namespace": "foo", "labels": {"app": "x"}}});
        assert_eq!(
            lines(&policies, &pod, "istio-system"),
            [
                "Effective PeerAuthentication:",
                "   Workload mTLS mode: STRICT",
                "   Port Level mTLS mode:",
                "      80: DISABLE",
                "Applied PeerAuthentication:",
                "   default.istio-system, x.foo",
            ]
        );
        assert_eq!(
            lines(&[], &pod, "istio-system"),
            ["Effective PeerAuthentication:", "   Workload mTLS mode: PERMISSIVE"]
        );
    }
}
