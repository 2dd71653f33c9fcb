//! Outbound listeners, routes and names as the proxies of one client see them.

use sagene_api::istio::networking::{ServiceEntry, Sidecar, VirtualService};

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

/// The names of the virtual hosts of a route configuration, and what its catch-all is called.
fn hosts(index: &Index, proxy: &Proxy, name: &str) -> Vec<String> {
    let made: route::RouteConfiguration = decoded(&one(index, proxy, type_url::ROUTE, name));
    made.virtual_hosts.into_iter().map(|host| host.name).collect()
}

#[test]
fn a_port_of_a_sidecar_has_its_own_hosts_and_a_socket_where_nothing_is_captured() {
    let mut snapshot = shop();
    put::<Sidecar>(
        &mut snapshot,
        "{metadata: {name: own, namespace: shop}, spec: {egress: [\
         {port: {number: 9080, protocol: HTTP, name: http}, hosts: ['shop/reviews.shop.svc.cluster.local']}, \
         {port: {number: 3000, protocol: HTTP, name: own}, captureMode: NONE, hosts: ['./reviews.shop.svc.cluster.local']}, \
         {port: {number: 27018, protocol: MONGO, name: db}, bind: 127.0.0.9, captureMode: NONE, hosts: ['*/db.shop.svc.cluster.local']}, \
         {hosts: ['./cache.shop.svc.cluster.local']}]}}",
    );
    let index = index(snapshot);
    let web = sidecar("web", "shop");
    let known = names(&index, &web);
    for name in ["0.0.0.0_9080", "127.0.0.1_3000", "127.0.0.9_27018", "10.96.0.12_6000"] {
        assert!(known.contains(&name.to_owned()), "{name}: {known:?}");
    }
    assert!(!known.iter().any(|name| name.ends_with("_27017")), "a host of one listener is not on others");

    let captured: listener::Listener = decoded(&one(&index, &web, type_url::LISTENER, "0.0.0.0_9080"));
    assert!(captured.bind_to_port.is_some_and(|bound| !bound.value));
    let resource = one(&index, &web, type_url::LISTENER, "127.0.0.9_27018");
    assert!(says(&resource, "outbound|27017||db.shop.svc.cluster.local"), "the only port of the service");
    assert_eq!(decoded::<listener::Listener>(&resource).bind_to_port, None);

    let reviews = format!("{}:9080", "reviews.shop.svc.cluster.local");
    assert_eq!(hosts(&index, &web, "9080"), ["allow_any".to_owned(), reviews.clone()]);
    // What came to a socket of its own has no destination of its own.
    assert_eq!(hosts(&index, &web, "127.0.0.1_3000"), ["block_all".to_owned(), reviews]);
    assert!(!says(&one(&index, &web, type_url::LISTENER, "127.0.0.1_3000"), names::PASSTHROUGH));
}

#[test]
fn unknown_hosts_leave_through_the_egress_proxy() {
    let mut snapshot = shop();
    put::<Sidecar>(
        &mut snapshot,
        "{metadata: {name: own, namespace: shop}, spec: {outboundTrafficPolicy: {mode: ALLOW_ANY, \
         egressProxy: {host: cache.shop.svc.cluster.local, port: {number: 6000}}}}}",
    );
    let (index, web) = (index(snapshot), sidecar("web", "shop"));
    for (kind, name) in [(type_url::LISTENER, "virtualOutbound"), (type_url::ROUTE, "9080")] {
        let made = one(&index, &web, kind, name);
        assert!(says(&made, "outbound|6000||cache.shop.svc.cluster.local"), "{name}");
        assert!(!says(&made, names::PASSTHROUGH), "{name}");
    }
}

#[test]
fn where_nothing_is_captured_the_workload_connects_to_sockets_of_its_own() {
    let index = index(shop());
    let proxy = Proxy { interception_mode: "NONE".to_owned(), ..sidecar("web", "shop") };
    let found = names(&index, &proxy);
    assert!(!found.contains(&"virtualOutbound".to_owned()), "{found:?}");
    let made: listener::Listener = decoded(&one(&index, &proxy, type_url::LISTENER, "127.0.0.1_9080"));
    assert_eq!(made.bind_to_port, None, "a socket is the default");
    let found = hosts(&index, &proxy, "127.0.0.1_9080");
    assert_eq!(found, ["block_all", "reviews.shop.svc.cluster.local:9080"]);
    let made: listener::Listener = decoded(&one(&index, &proxy, type_url::LISTENER, "127.0.0.1_27017"));
    assert!(made.bind_to_port.is_none() && !made.filter_chains.is_empty());
}

#[test]
fn names_that_no_route_of_tls_has_do_not_lead_to_the_service_that_is_routed() {
    let mut snapshot = shop();
    put::<ServiceEntry>(
        &mut snapshot,
        "{metadata: {name: news, namespace: shop}, spec: {hosts: [news.example.com], resolution: DNS, \
          ports: [{number: 443, name: tls, protocol: TLS}]}}",
    );
    put::<VirtualService>(
        &mut snapshot,
        "{metadata: {name: news, namespace: shop}, spec: {hosts: [news.example.com], \
          tls: [{match: [{port: 443, sniHosts: [news.example.com]}], route: [{destination: {host: news.example.com}}]}]}}",
    );
    let index = index(snapshot);
    let made: listener::Listener =
        decoded(&one(&index, &sidecar("web", "shop"), type_url::LISTENER, "0.0.0.0_443"));
    let [chain] = made.filter_chains.as_slice() else { panic!("one chain: {:?}", made.filter_chains) };
    let server_names = chain.filter_chain_match.as_ref().map(|condition| condition.server_names.clone());
    assert_eq!(server_names, Some(vec!["news.example.com".to_owned()]));
    let default = made.default_filter_chain.expect("what is not known passes");
    let names = format!("{default:?}");
    assert!(!names.contains("news.example.com"), "{names}");
}
