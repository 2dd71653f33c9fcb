//! What to do after an installation: the ingress address and the first commands.

use std::collections::BTreeMap;

use sagene_manifest::profile::Installation;
use serde_json::Value;

use crate::context::Cluster;
use crate::kubernetes::{Objects, Resource, text};
use crate::output;

/// Prints the addresses and the next commands to stdout.
pub(super) async fn print(cluster: &Cluster, installation: &Installation) {
    let flag = if cluster.embedded && cluster.needs_flag { " --embedded" } else { "" };
    for (name, address) in addresses(cluster, installation).await {
        output::line(&format!("{name}: {address}"));
    }
    output::line("Next:");
    output::line(&format!("  sagene{flag} kubectl label namespace default istio-injection=enabled"));
    output::line(&format!("  sagene{flag} kubectl apply -f <your manifests>"));
    output::line(&format!("  sagene{flag} analyze"));
    output::line(&format!("  sagene{flag} dashboard kiali"));
    if !has_gateway_api(cluster).await {
        output::line("The cluster does not have the Gateway API, which is optional:");
        output::line(&format!("  sagene{flag} kubectl apply --server-side -f {GATEWAY_API}"));
    }
}

/// Where the types of the Gateway API are published.
const GATEWAY_API: &str =
    "https://github.com/kubernetes-sigs/gateway-api/releases/latest/download/standard-install.yaml";

/// Whether the cluster knows the types; when it cannot be asked, nothing is said about them.
async fn has_gateway_api(cluster: &Cluster) -> bool {
    let answer = Objects::new(cluster.client.clone()).get_path("/apis/gateway.networking.k8s.io", None).await;
    !matches!(answer, Err(kube::Error::Api(status)) if status.code == 404)
}

async fn addresses(cluster: &Cluster, installation: &Installation) -> Vec<(String, String)> {
    let objects = Objects::new(cluster.client.clone());
    let gateways = installation.spec.pointer("/components/ingressGateways").and_then(Value::as_array);
    let mut addresses = Vec::new();
    for gateway in gateways.into_iter().flatten() {
        let enabled = gateway.get("enabled").and_then(Value::as_bool) == Some(true);
        let namespace = text(gateway, "/namespace");
        let namespace = if namespace.is_empty() { &installation.namespace } else { namespace };
        let name = text(gateway, "/name");
        if !enabled {
            continue;
        }
        if let Ok(Some(service)) = objects.get(&Resource::services(), Some(namespace), name).await
            && let Some(address) = address(&service)
        {
            addresses.push((name.to_owned(), address));
        }
    }
    addresses
}

/// `http://<address>[:port]` of a gateway's plain HTTP port.
fn address(service: &Value) -> Option<String> {
    let ports = host_ports(text(service, "/metadata/annotations/sagene.io~1host-ports"));
    let ingress = service.pointer("/status/loadBalancer/ingress/0")?;
    let host =
        [text(ingress, "/hostname"), text(ingress, "/ip")].into_iter().find(|host| !host.is_empty())?;
    Some(url(host, ports.get(&80).copied().unwrap_or(80)))
}

fn url(host: &str, port: u16) -> String {
    if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }
}

/// JSON (`{"80": 8080}`) or pairs (`80=8080,443=8443`).
fn host_ports(text: &str) -> BTreeMap<u16, u16> {
    if let Ok(Value::Object(map)) = serde_json::from_str(text) {
        let number = |value: &Value| {
            value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|port| u16::try_from(port).ok())
        };
        return map.iter().filter_map(|(port, host)| Some((port.parse().ok()?, number(host)?))).collect();
    }
    let pair = |pair: &str| -> Option<(u16, u16)> {
        let (port, host) = pair.split_once('=')?;
        Some((port.trim().parse().ok()?, host.trim().parse().ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_read_in_both_spellings() {
        assert_eq!(host_ports("80=8080,443=8443"), host_ports(r#"{"80": 8080, "443": "8443"}"#));
        assert!(host_ports("").is_empty());
        let service = serde_json::json!({
            "metadata": {"annotations": {"sagene.io/host-ports": "80=8080"}},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.2"}]}},
        });
        assert_eq!(address(&service).as_deref(), Some("http://127.0.0.2:8080"));
    }
}
