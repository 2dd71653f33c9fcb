//! A Service: its ports with their protocols, and the rules of the mesh for it.

use sagene_model::protocol::Protocol;
use serde_json::Value;

use super::proxy::{Proxy, host};
use super::{Describer, destination_rule, virtual_service};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, has_proxy, list, selector_of, text};
use crate::output;

impl Describer<'_> {
    /// Describes a Service by the first ready pod behind it.
    pub(super) async fn service(&self, namespace: &str, name: &str) -> Outcome {
        let service = self.get(&Resource::services(), namespace, name).await?;
        let pods = match selector_of(&service) {
            Some(selector) => self.list(&Resource::pods(), Some(namespace), &selector).await?,
            None => Vec::new(),
        };
        let ready = |pod: &&Value| {
            list(pod, "/status/conditions")
                .any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
        };
        let Some(pod) = pods.iter().filter(ready).max_by_key(|pod| has_proxy(pod)) else {
            output::line(&format!("Service: {}", self.title(&service)));
            let problem = if pods.is_empty() { "No Kubernetes pods" } else { "No ready Kubernetes pods" };
            let selector = selector_of(&service).unwrap_or_else(|| "none".to_owned());
            output::line(&format!("   {problem} for service {name} (selector: {selector})"));
            return Ok(Exit::Success);
        };
        if !has_proxy(pod) {
            for line in lines(&service, pod, &self.title(&service)) {
                output::line(&line);
            }
            if !self.ignore_unmeshed {
                output::line(&format!("WARNING: {} is not part of mesh; no Istio sidecar", self.title(pod)));
            }
            return Ok(Exit::Success);
        }
        let proxy = self.proxy(pod).await?;
        self.service_of_pod(&service, pod, &proxy).await?;
        self.policies(pod, &proxy).await?;
        self.gateways(&[&service]).await?;
        Ok(Exit::Success)
    }

    /// One Service, as the proxy of one of its pods sees it.
    pub(super) async fn service_of_pod(
        &self,
        service: &Value,
        pod: &Value,
        proxy: &Proxy,
    ) -> Result<(), Failure> {
        for line in lines(service, pod, &self.title(service)) {
            output::line(&line);
        }
        let several = list(service, "/spec/ports").count() > 1;
        let mut told: Vec<String> = Vec::new();
        for port in list(service, "/spec/ports").filter_map(|port| port["port"].as_u64()) {
            let rules = self.rules(service, pod, proxy, port).await?;
            if rules.is_empty() || told.contains(&rules.join("\n")) {
                continue;
            }
            told.push(rules.join("\n"));
            if several {
                output::line(&format!("{port}:"));
            }
            for line in rules {
                output::line(&line);
            }
        }
        Ok(())
    }

    /// The DestinationRule and the VirtualService of one port.
    async fn rules(
        &self,
        service: &Value,
        pod: &Value,
        proxy: &Proxy,
        port: u64,
    ) -> Result<Vec<String>, Failure> {
        let host = host(service);
        let mut lines = Vec::new();
        let mut subsets = None;
        if let Some((namespace, name)) = proxy.destination_rule(&host, port) {
            let kind =
                Resource::known("networking.istio.io", "v1", "DestinationRule", "destinationrules", true);
            match self
                .objects
                .get(&kind, Some(&namespace), &name)
                .await
                .map_err(crate::kubernetes::server_failure)?
            {
                Some(rule) => {
                    lines.extend(destination_rule::lines(&rule, &self.title(&rule), pod));
                    subsets = Some(destination_rule::Subsets::of(&rule, pod));
                }
                None => lines.push(stale("DestinationRule", &namespace, &name)),
            }
        }
        if let Some((namespace, name)) = proxy.virtual_service(&host, port) {
            match self.virtual_service(&namespace, &name).await? {
                Some(object) => {
                    let title = self.title(&object);
                    lines.extend(virtual_service::lines(&object, &title, &host, subsets.as_ref()));
                }
                None => lines.push(stale("VirtualService", &namespace, &name)),
            }
        }
        Ok(lines)
    }

    /// The object behind a route of a proxy.
    pub(super) async fn virtual_service(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, Failure> {
        let kind = Resource::known("networking.istio.io", "v1", "VirtualService", "virtualservices", true);
        self.objects.get(&kind, Some(namespace), name).await.map_err(crate::kubernetes::server_failure)
    }
}

/// The proxy names what is no longer there, or was made from another kind.
pub(super) fn stale(kind: &str, namespace: &str, name: &str) -> String {
    match name.split_once("~istio-autogenerated") {
        Some((route, _)) => format!("HTTPRoute: {route}.{namespace}"),
        None => format!("WARNING: Proxy is stale; it has {kind} {name}.{namespace}, which does not exist"),
    }
}

/// Whether a Service stands for a pod.
pub(super) fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
    })
}

fn lines(service: &Value, pod: &Value, title: &str) -> Vec<String> {
    let mut lines = vec![format!("Service: {title}")];
    for port in list(service, "/spec/ports") {
        let (number, name) = (&port["port"], text(port, "/name"));
        let target = match &port["targetPort"] {
            Value::Null => number.clone(),
            Value::String(name) => match number_of(pod, name) {
                Some(number) => number.clone(),
                None => {
                    lines.push(format!("   WARNING: Pod has no port named {name}"));
                    continue;
                }
            },
            number => number.clone(),
        };
        let number = number.as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or_default();
        let protocol = protocol(text(port, "/protocol"), text(port, "/appProtocol"), name, number);
        lines.push(format!("   Port: {name} {number}/{protocol} targets pod port {target}"));
        if name.is_empty() && text(port, "/appProtocol").is_empty() {
            lines.push(format!("   {number} is unnamed which does not follow Istio conventions"));
        }
    }
    lines
}

/// What the mesh takes a port for.
fn protocol(transport: &str, of_application: &str, name: &str, port: u16) -> String {
    match Protocol::of_service_port(transport, of_application, name, port) {
        Protocol::Unspecified => "auto-detect".to_owned(),
        Protocol::GrpcWeb => "GRPC-WEB".to_owned(),
        protocol => format!("{protocol:?}").to_uppercase(),
    }
}

fn number_of<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let ports = list(pod, "/spec/containers").flat_map(|container| list(container, "/ports"));
    ports.into_iter().find(|port| text(port, "/name") == name).map(|port| &port["containerPort"])
}
