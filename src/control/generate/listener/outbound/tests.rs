//! Outbound listeners, routes and names as the proxies of one client see them.

use sagene_api::istio::networking::ServiceEntry;

use super::*;
use crate::generate::tests::{decoded, index, one, put, shop, sidecar};
use crate::generate::{Proxy, extension::NameTable, proto::route, type_url};

/// A ServiceEntry of a database outside, with an address of each family that was chosen for it.
fn database(name: &str, last: u8) -> String {
    let host = format!("{name}.example.com");
    format!(
        "{{metadata: {{name: {name}, namespace: shop}}, spec: {{hosts: [{host}], resolution: DNS, \
         ports: [{{number: 5432, name: tcp, protocol: TCP}}, {{number: 80, name: http, protocol: HTTP}}]}}, \
         status: {{addresses: [{{host: {host}, value: 240.240.0.{last}}}, {{host: {host}, value: '2001:2::{last}'}}]}}}}"
    )
}

fn names(index: &Index, proxy: &Proxy) -> Vec<String> {
    index.set(proxy, type_url::LISTENER).resources.iter().map(|one| one.name.to_string()).collect()
}

/// True where the text stands anywhere in a resource, however deep.
fn says(resource: &Resource, text: &str) -> bool {
    resource.any.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn addresses_that_were_chosen_count_for_proxies_that_answer_dns() {
    let mut snapshot = shop();
    put::<ServiceEntry>(&mut snapshot, &database("one", 1));
    put::<ServiceEntry>(&mut snapshot, &database("two", 2));
    let index = index(snapshot);
    let deaf = sidecar("web", "shop");
    let answering = Proxy { dns_capture: true, ..deaf.clone() };
    let table = |proxy| decoded::<NameTable>(&one(&index, proxy, type_url::NAME_TABLE, "nametable")).table;

    assert!(names(&index, &deaf).contains(&"0.0.0.0_5432".to_owned()));
    assert!(!table(&deaf).contains_key("one.example.com"));

    for (name, cluster) in [("240.240.0.1_5432", "one"), ("240.240.0.2_5432", "two")] {
        let resource = one(&index, &answering, type_url::LISTENER, name);
        assert!(says(&resource, &format!("outbound|5432||{cluster}.example.com")), "{name}");
        let made: listener::Listener = decoded(&resource);
        assert!(made.additional_addresses.is_empty(), "the pod has no IPv6");
    }
    assert!(!names(&index, &answering).contains(&"0.0.0.0_5432".to_owned()));
    assert_eq!(table(&answering)["two.example.com"].ips, ["240.240.0.2"]);
    let routes: route::RouteConfiguration = decoded(&one(&index, &answering, type_url::ROUTE, "80"));
    assert!(routes.virtual_hosts.iter().any(|host| host.domains.contains(&"240.240.0.1".to_owned())));
}

#[test]
fn the_two_addresses_that_were_chosen_are_one_listeners_for_a_pod_of_both_families() {
    let mut snapshot = shop();
    put::<ServiceEntry>(&mut snapshot, &database("one", 1));
    let index = index(snapshot);
    let addresses = vec!["10.1.0.9".parse().expect("IPv4"), "fd00::9".parse().expect("IPv6")];
    let both = Proxy { dns_capture: true, addresses, ..sidecar("web", "shop") };
    let made: listener::Listener = decoded(&one(&index, &both, type_url::LISTENER, "240.240.0.1_5432"));
    assert!(format!("{:?}", made.additional_addresses).contains("2001:2::1"));
}
