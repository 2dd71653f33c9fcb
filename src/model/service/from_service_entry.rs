//! ServiceEntries as services: one per host.

use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_api::istio::networking::service_entry::{Location, Resolution as Declared};

use super::{Registry, Resolution, Service, ServicePort};
use crate::address_allocation;
use crate::hostname::Hostname;
use crate::protocol::Protocol;

/// The services of a ServiceEntry.
pub fn of_service_entry(object: &Object<ServiceEntry>) -> Vec<Service> {
    let spec = &object.spec;
    let resolution = match spec.resolution {
        Declared::None => Resolution::Passthrough,
        Declared::Static => Resolution::ClientSideLb,
        Declared::Dns => Resolution::DnsLb,
        Declared::DnsRoundRobin => Resolution::DnsRoundRobinLb,
        Declared::DynamicDns => Resolution::DynamicDns,
    };
    let ports: Vec<ServicePort> = spec
        .ports
        .iter()
        .filter_map(|port| {
            let number = u16::try_from(port.number).ok().filter(|number| *number != 0)?;
            Some(ServicePort {
                name: port.name.clone(),
                port: number,
                protocol: Protocol::parse(&port.protocol),
            })
        })
        .collect();
    spec.hosts
        .iter()
        .map(|host| {
            let (addresses, address_ranges) = addresses(object);
            Service {
                hostname: Hostname::new(host),
                name: host.clone(),
                namespace: object.metadata.namespace.clone(),
                registry: Registry::External,
                resolution,
                addresses,
                allocated: allocated(object, host),
                address_ranges,
                ports: ports.clone(),
                export_to: spec.export_to.clone(),
                selector: spec
                    .workload_selector
                    .as_ref()
                    .map(|selector| selector.labels.clone())
                    .unwrap_or_default(),
                mesh_external: spec.location == Location::MeshExternal,
                subject_alt_names: spec.subject_alt_names.clone(),
                external_name: String::new(),
                publish_not_ready: false,
                node_local: false,
                traffic_distribution: String::new(),
                created: object.metadata.creation_timestamp,
                labels: object.metadata.labels.clone(),
            }
        })
        .collect()
}

fn addresses(object: &Object<ServiceEntry>) -> (Vec<IpAddr>, Vec<String>) {
    let mut plain = Vec::new();
    let mut ranges = Vec::new();
    for text in &object.spec.addresses {
        match text.parse::<IpAddr>() {
            Ok(address) => plain.push(address),
            Err(_) if is_range(text) => ranges.push(text.clone()),
            Err(_) => {}
        }
    }
    plain.sort_by_key(IpAddr::is_ipv6);
    (plain, ranges)
}

/// What stands in the status for a host, where the entry still asks for it.
fn allocated(object: &Object<ServiceEntry>, host: &str) -> Vec<IpAddr> {
    if !address_allocation::is_wanted_for(object, host) {
        return Vec::new();
    }
    let written = object.status.iter().flat_map(|status| &status.addresses);
    let own = written.filter(|address| address.host == host);
    let mut found: Vec<IpAddr> = own.filter_map(|address| address.value.parse().ok()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::service_entry::ServicePort as DeclaredPort;

    #[test]
    fn one_service_per_host_with_addresses_and_ranges() {
        let spec = ServiceEntry {
            hosts: vec!["a.example.com".to_owned(), "*.b.example.com".to_owned()],
            addresses: vec![
                "10.1.0.0/16".to_owned(),
                "2001:db8::1".to_owned(),
                "10.2.0.1".to_owned(),
                "nonsense/99".to_owned(),
            ],
            ports: vec![DeclaredPort {
                number: 443,
                protocol: "TLS".to_owned(),
                name: "tls".to_owned(),
                ..DeclaredPort::default()
            }],
            ..ServiceEntry::default()
        };
        let services = of_service_entry(&Object::new("out", "entry", spec));
        assert_eq!(services.len(), 2);
        assert_eq!((services[0].name.as_str(), services[0].namespace.as_str()), ("a.example.com", "out"));
        assert!(services[1].hostname.is_wildcard() && services[0].mesh_external);
        assert_eq!(services[0].address_ranges, ["10.1.0.0/16"]);
        assert!(services[0].virtual_ip().is_some_and(|address| address.is_ipv4()));
        assert_eq!(services[0].ports[0].protocol, Protocol::Tls);
    }
}
