//! Where Services are reached from outside: the routes of ingress gateways that lead to them.

use serde_json::Value;

use super::pod::RULE;
use super::proxy::host;
use super::service::{selects, stale};
use super::{Describer, virtual_service};
use crate::exit::Failure;
use crate::kubernetes::{Resource, list, text};
use crate::output;

impl Describer<'_> {
    /// One block for each address of each gateway that routes to one of the Services.
    pub(super) async fn gateways(&self, services: &[&Value]) -> Result<(), Failure> {
        let pods = self.list(&Resource::pods(), None, "istio=ingressgateway").await?;
        let running: Vec<&Value> =
            pods.iter().filter(|pod| text(pod, "/status/phase") == "Running").collect();
        if running.is_empty() {
            output::line("Skipping Gateway information (no ingress gateway pods)");
            return Ok(());
        }
        let mut told: Vec<String> = Vec::new();
        for pod in running {
            let namespace = text(pod, "/metadata/namespace");
            let fronts = self.list(&Resource::services(), Some(namespace), "").await?;
            let Some(front) = fronts.iter().find(|front| selects(front, pod)) else { continue };
            let proxy = self.proxy(pod).await?;
            for service in services {
                for exposure in proxy.exposures(&host(service)) {
                    let (namespace, name) = &exposure.virtual_service;
                    let mut block =
                        vec![format!("Exposed on Ingress Gateway {}", address(front, &exposure.listener))];
                    match self.virtual_service(namespace, name).await? {
                        Some(object) => {
                            block.push(format!("VirtualService: {}", self.title(&object)));
                            block.push(format!("   {}", virtual_service::paths(&object, &host(service))));
                        }
                        None => block.push(stale("VirtualService", namespace, name)),
                    }
                    let block = block.join("\n");
                    if !told.contains(&block) {
                        output::line(RULE);
                        output::line(&block);
                        told.push(block);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The address of a gateway's Service for one of its listeners, such as `http.8080`.
fn address(front: &Value, listener: &str) -> String {
    let mut parts = listener.split('.');
    let scheme = if parts.next() == Some("https") { "https" } else { "http" };
    let number: Option<u64> = parts.next().and_then(|number| number.parse().ok());
    let port = list(front, "/spec/ports").find(|port| {
        number.is_some() && (port["targetPort"].as_u64() == number || port["port"].as_u64() == number)
    });
    let suffix = match port.and_then(|port| port["port"].as_u64()) {
        Some(80) if scheme == "http" => String::new(),
        Some(443) if scheme == "https" => String::new(),
        Some(port) => format!(":{port}"),
        None => String::new(),
    };
    let balancer = list(front, "/status/loadBalancer/ingress").next();
    let host = balancer.map(|it| [text(it, "/ip"), text(it, "/hostname")].concat()).unwrap_or_default();
    let host = if host.is_empty() { text(front, "/spec/clusterIP").to_owned() } else { host };
    format!("{scheme}://{host}{suffix}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn addresses_leave_out_usual_ports() {
        let front = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 8443, "targetPort": 8443}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}});
        assert_eq!(super::address(&front, "http.8080"), "http://127.0.0.1");
        assert_eq!(super::address(&front, "https.8443.https.gateway.default"), "https://127.0.0.1:8443");
    }
}
