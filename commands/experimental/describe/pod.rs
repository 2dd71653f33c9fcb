//! The pod itself: revision, ports, what it lacks; then its Services and policies.

use serde_json::Value;

use super::Describer;
use super::service::selects;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, has_proxy, list, text};
use crate::output;

/// Between the pod and each of its Services.
pub(super) const RULE: &str = "--------------------";

impl Describer<'_> {
    /// Describes a pod.
    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Outcome {
        let pod = self.get(&Resource::pods(), namespace, name).await?;
        for line in lines(&pod, &self.title(&pod)) {
            output::line(&line);
        }
        if !has_proxy(&pod) {
            if !self.ignore_unmeshed {
                output::line(&format!("WARNING: {} is not part of mesh; no Istio sidecar", self.title(&pod)));
            }
            return Ok(Exit::Success);
        }
        let services = self.list(&Resource::services(), Some(namespace), "").await?;
        let services: Vec<&Value> = services.iter().filter(|service| selects(service, &pod)).collect();
        if text(&pod, "/status/phase") != "Running" {
            output::line(&format!("   Pod is not Running ({})", text(&pod, "/status/phase")));
            return Ok(Exit::Success);
        }
        let proxy = self.proxy(&pod).await?;
        for service in &services {
            output::line(RULE);
            self.service_of_pod(service, &pod, &proxy).await?;
        }
        self.policies(&pod, &proxy).await?;
        self.gateways(&services).await?;
        Ok(Exit::Success)
    }

    /// Who may call the pod, and how.
    pub(super) async fn policies(&self, pod: &Value, proxy: &super::proxy::Proxy) -> Result<(), Failure> {
        let policies = proxy.authorization_policies(self.default);
        if !policies.is_empty() {
            output::line(&format!("RBAC policies: {}", policies.join(", ")));
        }
        output::line(RULE);
        for line in self.peer_authentication(pod).await? {
            output::line(&line);
        }
        Ok(())
    }
}

/// What the object says about itself.
fn lines(pod: &Value, title: &str) -> Vec<String> {
    let mut lines = vec![format!("Pod: {title}")];
    let revision = text(pod, "/metadata/labels/istio.io~1rev");
    let status: Value =
        serde_json::from_str(text(pod, "/metadata/annotations/sidecar.istio.io~1status")).unwrap_or_default();
    let revision = if revision.is_empty() { text(&status, "/revision") } else { revision };
    if !revision.is_empty() {
        lines.push(format!("   Pod Revision: {revision}"));
    }
    let ports: Vec<String> = containers(pod).flat_map(ports).collect();
    lines.push(if ports.is_empty() {
        "   Pod does not expose ports".to_owned()
    } else {
        format!("   Pod Ports: {}", ports.join(", "))
    });
    for status in list(pod, "/status/containerStatuses").filter(|status| status["ready"] == false) {
        lines.push(format!("WARNING: Pod {title} Container {} NOT READY", text(status, "/name")));
    }
    for (label, other) in [("app", "app.kubernetes.io~1name"), ("version", "app.kubernetes.io~1version")] {
        let has = |label: &str| pod.pointer(&format!("/metadata/labels/{label}")).is_some();
        if !has(label) && !has(other) {
            lines.push(format!("Suggestion: add '{label}' label to pod for Istio telemetry."));
        }
    }
    lines
}

/// The containers that run, sidecars among them.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let sidecars = list(pod, "/spec/initContainers").filter(|it| text(it, "/restartPolicy") == "Always");
    list(pod, "/spec/containers").chain(sidecars)
}

fn ports(container: &Value) -> impl Iterator<Item = String> {
    list(container, "/ports").map(|port| {
        let protocol = match text(port, "/protocol") {
            "" | "TCP" => String::new(),
            other => format!("/{other}"),
        };
        format!("{}{protocol} ({})", port["containerPort"], text(container, "/name"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_pod_tells_its_ports_and_what_it_lacks() {
        let pod = json!({
            "metadata": {"labels": {"app": "ratings"},
                "annotations": {"sidecar.istio.io/status": "{\"revision\": \"default\"}"}},
            "spec": {
                "initContainers": [{"name": "istio-init"},
                    {"name": "istio-proxy", "restartPolicy": "Always", "ports": [{"containerPort": 15090}]}],
                "containers": [{"name": "ratings", "ports": [{"containerPort": 9080}, {"containerPort": 53, "protocol": "UDP"}]}]},
            "status": {"containerStatuses": [{"name": "ratings", "ready": false}]}});
        assert_eq!(
            super::lines(&pod, "ratings-1"),
            [
                "Pod: ratings-1",
                "   Pod Revision: default",
                "   Pod Ports: 9080 (ratings), 53/UDP (ratings), 15090 (istio-proxy)",
                "WARNING: Pod ratings-1 Container ratings NOT READY",
                "Suggestion: add 'version' label to pod for Istio telemetry.",
            ]
        );
    }
}
