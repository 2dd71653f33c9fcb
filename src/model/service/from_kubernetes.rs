//! Kubernetes Services as the mesh sees them.

use sagene_api::Object;
use sagene_api::kubernetes;

use super::{Registry, Resolution, Service, ServicePort};
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::protocol::Protocol;

/// Annotation with the `exportTo` of a Kubernetes Service, by comma.
const EXPORT_TO: &str = "networking.istio.io/exportTo";
/// Annotation for traffic distribution on clusters whose Service has no such field.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";

/// Reads a Service. UDP ports are left out: the mesh does not carry them.
pub fn of_kubernetes(object: &Object<kubernetes::Service>, mesh: &Mesh) -> Service {
    let (metadata, spec) = (&object.metadata, &object.spec);
    let listed =
        if spec.cluster_ips.is_empty() { std::slice::from_ref(&spec.cluster_ip) } else { &spec.cluster_ips };
    let addresses: Vec<_> = listed.iter().filter_map(|text| text.parse().ok()).collect();
    let annotation = |name: &str| metadata.annotations.get(name).map(String::as_str).unwrap_or_default();
    let resolution = match spec.r#type.as_str() {
        "ExternalName" => Resolution::Alias,
        _ if addresses.is_empty() => Resolution::Passthrough,
        _ => Resolution::ClientSideLb,
    };
    let traffic_distribution = if spec.traffic_distribution.is_empty() {
        annotation(TRAFFIC_DISTRIBUTION)
    } else {
        &spec.traffic_distribution
    };
    Service {
        hostname: Hostname::of_service(&metadata.name, &metadata.namespace, &mesh.domain),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        registry: Registry::Kubernetes,
        resolution,
        addresses,
        allocated: Vec::new(),
        address_ranges: Vec::new(),
        ports: ports(&spec.ports),
        export_to: annotation(EXPORT_TO)
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        selector: spec.selector.clone(),
        mesh_external: false,
        subject_alt_names: Vec::new(),
        external_name: spec.external_name.clone(),
        publish_not_ready: spec.publish_not_ready_addresses,
        node_local: spec.internal_traffic_policy == "Local",
        traffic_distribution: traffic_distribution.to_owned(),
        created: metadata.creation_timestamp,
        labels: metadata.labels.clone(),
    }
}

fn ports(declared: &[kubernetes::service::ServicePort]) -> Vec<ServicePort> {
    let port = |port: &kubernetes::service::ServicePort| ServicePort {
        name: port.name.clone(),
        port: port.port,
        protocol: Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port),
    };
    declared.iter().map(port).filter(|port| port.protocol != Protocol::Udp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::kubernetes::service::ServicePort as Declared;

    #[test]
    fn virtual_ips_headless_and_aliases() {
        let of = |kind: &str, ip: &str| {
            let spec = kubernetes::Service {
                r#type: kind.to_owned(),
                cluster_ip: ip.to_owned(),
                ports: vec![
                    Declared { name: "http".to_owned(), port: 80, ..Declared::default() },
                    Declared {
                        name: "dns".to_owned(),
                        port: 53,
                        protocol: "UDP".to_owned(),
                        ..Declared::default()
                    },
                ],
                ..kubernetes::Service::default()
            };
            of_kubernetes(&Object::new("shop", "cart", spec), &Mesh::default())
        };
        let service = of("ClusterIP", "10.96.0.7");
        assert_eq!(service.hostname.as_str(), "cart.shop.svc.cluster.local");
        assert_eq!((service.resolution, service.ports.len()), (Resolution::ClientSideLb, 1));
        assert!(!service.is_headless());
        assert_eq!(of("ClusterIP", "None").resolution, Resolution::Passthrough);
        assert_eq!(of("ExternalName", "").resolution, Resolution::Alias);
    }
}
