//! Load assignments as clients at some place get them: priorities, shares, addresses.

use sagene_api::istio::networking::{DestinationRule, ServiceEntry};
use sagene_api::kubernetes::{EndpointSlice, Node, Pod, Service};
use sagene_model::Snapshot;

use crate::generate::proto::{address, cluster, endpoint};
use crate::generate::tests::{decoded, index, one, put, sidecar};
use crate::generate::type_url;
use crate::index::{Concern, Index};

const CLUSTER: &str = "outbound|80||far.example.com";

/// The client `web-v1-a` on a node in `eu/a`, and endpoints of `far.example.com` near and far.
fn mesh(rule: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    put::<Node>(&mut snapshot, &node("eu", "a"));
    put::<Pod>(
        &mut snapshot,
        "{metadata: {name: web-v1-a, namespace: shop, labels: {app: web, tier: gold}}, spec: {nodeName: n1, \
         containers: [{name: app}]}, status: {phase: Running, podIP: 10.1.0.9}}",
    );
    put::<ServiceEntry>(
        &mut snapshot,
        "{metadata: {name: far, namespace: shop}, spec: {hosts: [far.example.com], resolution: STATIC, \
         ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [\
         {address: 10.0.0.1, locality: eu/a}, {address: 10.0.0.2, locality: eu/b, labels: {tier: gold}}, \
         {address: 10.0.0.3, locality: us/a, weight: 3}, {address: 10.0.0.4, locality: us/b}, \
         {address: 10.0.0.5, locality: asia/a, labels: {tier: gold}}]}}",
    );
    let policy = format!(
        "{{metadata: {{name: far, namespace: shop}}, spec: {{host: far.example.com, trafficPolicy: {rule}}}}}"
    );
    put::<DestinationRule>(&mut snapshot, &policy);
    snapshot
}

fn node(region: &str, zone: &str) -> String {
    format!(
        "{{metadata: {{name: n1, labels: {{topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}}}}}}}"
    )
}

fn assignment(index: &Index, name: &str) -> endpoint::ClusterLoadAssignment {
    decoded(&one(index, &sidecar("web", "shop"), type_url::ENDPOINT, name))
}

/// Last digit of each address with its priority and the weight of its locality, in order of address.
fn seen(index: &Index) -> Vec<(String, u32, u32)> {
    let mut seen = Vec::new();
    for group in assignment(index, CLUSTER).endpoints {
        let weight = group.load_balancing_weight.as_ref().map_or(0, |weight| weight.value);
        for each in &group.lb_endpoints {
            let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)) = &each.host_identifier else {
                panic!("{each:?}")
            };
            let digit = (1..=5).find(|digit| host.address == Some(address(&format!("10.0.0.{digit}"), 80)));
            seen.push((
                digit.map_or_else(|| "?".to_owned(), |digit| digit.to_string()),
                group.priority,
                weight,
            ));
        }
    }
    seen.sort();
    seen
}

fn priorities(rule: &str) -> Vec<u32> {
    seen(&index(mesh(rule))).into_iter().map(|(_, priority, _)| priority).collect()
}

#[test]
fn near_endpoints_go_first_where_failures_are_noticed() {
    assert_eq!(priorities("{outlierDetection: {interval: 1s}}"), [0, 1, 2, 2, 2]);
    assert_eq!(priorities("{connectionPool: {tcp: {maxConnections: 1}}}"), [0; 5]);
    let with = |setting: &str| {
        format!("{{outlierDetection: {{interval: 1s}}, loadBalancer: {{localityLbSetting: {{{setting}}}}}}}")
    };
    assert_eq!(priorities(&with("enabled: false")), [0; 5]);
    assert_eq!(priorities(&with("failover: [{from: eu, to: us}]")), [0, 1, 2, 2, 3]);
    assert_eq!(priorities(&with("failover: [{from: us, to: eu}]")), [0, 1, 2, 2, 2]);
}

#[test]
fn labels_order_endpoints_most_important_first() {
    let with = |labels: &str| {
        format!(
            "{{outlierDetection: {{interval: 1s}}, loadBalancer: {{localityLbSetting: {{failoverPriority: [{labels}]}}}}}}"
        )
    };
    let (region, zone) = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone");
    assert_eq!(priorities(&with(&format!("{region}, {zone}"))), [0, 1, 2, 2, 2]);
    // The client has the label tier: gold.
    assert_eq!(priorities(&with(&format!("tier, {region}"))), [2, 0, 2, 2, 1]);
    assert_eq!(priorities(&with(&format!("{region}=us, {zone}"))), [2, 2, 0, 1, 2]);
}

#[test]
fn shares_are_divided_by_weight_and_others_get_nothing() {
    let rule = "{loadBalancer: {localityLbSetting: {distribute: [\
                {from: asia/*, to: {eu/*: 100}}, {from: eu/a/*, to: {eu/a/*: 70, us/*: 20, us/b/*: 10}}]}}}";
    let index = index(mesh(rule));
    let digit = |text: &str| text.to_owned();
    assert_eq!(seen(&index), [(digit("1"), 0, 70), (digit("3"), 0, 20), (digit("4"), 0, 10)]);
    let made: cluster::Cluster = decoded(&one(&index, &sidecar("web", "shop"), type_url::CLUSTER, CLUSTER));
    assert!(made.common_lb_config.is_some_and(|common| common.locality_config_specifier.is_some()));
    let rule = "{loadBalancer: {localityLbSetting: {distribute: [{from: eu/*, to: {us/*: 100}}]}}}";
    assert_eq!(seen(&crate::generate::tests::index(mesh(rule))), [(digit("3"), 0, 75), (digit("4"), 0, 25)]);
}

#[test]
fn a_proxy_moves_with_the_labels_of_its_node_and_pod() {
    let mut snapshot = mesh("{outlierDetection: {interval: 1s}}");
    let before = index(snapshot.clone());
    let changes = put::<Node>(&mut snapshot, &node("us", "b"));
    let (after, affected) = before.next(snapshot.clone(), before.settings.clone(), &changes);
    assert_eq!(affected.concern(&sidecar("web", "shop"), type_url::ENDPOINT), Concern::Anything);
    let order = |index: &Index| seen(index).into_iter().map(|(_, priority, _)| priority).collect::<Vec<_>>();
    assert_eq!(order(&after), [2, 2, 1, 0, 2]);
    let changes = put::<Pod>(
        &mut snapshot,
        "{metadata: {name: web-v1-a, namespace: shop, labels: {app: web, istio-locality: asia.a}}, spec: {nodeName: n1, \
         containers: [{name: app}]}, status: {phase: Running, podIP: 10.1.0.9}}",
    );
    let (last, affected) = after.next(snapshot, after.settings.clone(), &changes);
    assert_eq!(affected.concern(&sidecar("web", "shop"), type_url::ENDPOINT), Concern::Anything);
    assert_eq!(order(&last), [1, 1, 1, 1, 0]);
}

#[test]
fn names_that_proxies_resolve_are_ordered_in_their_clusters() {
    let mut snapshot = mesh("{outlierDetection: {interval: 1s}}");
    put::<ServiceEntry>(
        &mut snapshot,
        "{metadata: {name: far, namespace: shop}, spec: {hosts: [far.example.com], resolution: DNS, \
         ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [\
         {address: us.example.com, locality: us}, {address: eu.example.com, locality: eu}]}}",
    );
    let made: cluster::Cluster =
        decoded(&one(&index(snapshot), &sidecar("web", "shop"), type_url::CLUSTER, CLUSTER));
    let groups = made.load_assignment.map(|made| made.endpoints).unwrap_or_default();
    let regions: Vec<_> = groups
        .iter()
        .map(|group| (group.locality.clone().unwrap_or_default().region, group.priority))
        .collect();
    assert_eq!(regions, [("eu".to_owned(), 0), ("us".to_owned(), 1)]);
}

#[test]
fn a_pod_of_two_families_is_one_endpoint_with_both_addresses() {
    let mut snapshot = Snapshot::default();
    put::<Service>(
        &mut snapshot,
        "{metadata: {name: both, namespace: shop}, spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, 'fd00::10'], \
         ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack, selector: {app: both}, ports: [{name: http, port: 80}]}}",
    );
    for (name, family, ip) in [("both-4", "IPv4", "10.1.0.1"), ("both-6", "IPv6", "fd01::1")] {
        put::<EndpointSlice>(
            &mut snapshot,
            &format!(
                "{{metadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: both}}}}, addressType: {family}, \
                 ports: [{{name: http, port: 80}}], endpoints: [{{addresses: ['{ip}'], conditions: {{ready: true}}, \
                 targetRef: {{kind: Pod, name: both-1, namespace: shop}}}}]}}"
            ),
        );
    }
    let index = index(snapshot);
    let addresses = |ips: &str| -> Vec<_> {
        let mut client = sidecar("web", "shop");
        client.addresses = ips.split(',').map(|ip| ip.parse().expect("an address")).collect();
        let name = "outbound|80||both.shop.svc.cluster.local";
        let made: endpoint::ClusterLoadAssignment = decoded(&one(&index, &client, type_url::ENDPOINT, name));
        let host = made.endpoints[0].lb_endpoints[0].host_identifier.clone();
        let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)) = host else { panic!("{host:?}") };
        assert_eq!(made.endpoints[0].lb_endpoints.len(), 1);
        host.address
            .into_iter()
            .chain(host.additional_addresses.into_iter().filter_map(|one| one.address))
            .collect()
    };
    let (v4, v6) = (address("10.1.0.1", 80), address("fd01::1", 80));
    assert_eq!(addresses("10.1.0.9,fd01::9"), [v4.clone(), v6.clone()]);
    assert_eq!(addresses("10.1.0.9"), [v4]);
    assert_eq!(addresses("fd01::9"), [v6]);
}
