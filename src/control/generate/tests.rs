//! Generated configuration as its readers see it: names, destinations, chains; and what a change leaves alone.

use std::sync::Arc;

use sagene_api::istio::networking::{DestinationRule, Gateway, VirtualService};
use sagene_api::istio::security::PeerAuthentication;
use sagene_api::kubernetes::{EndpointSlice, Pod, Service};
use sagene_api::{Object, Resource as Kind};
use sagene_model::Snapshot;
use sagene_model::snapshot::{ChangeSet, Collected, Scope};

use super::proto::network::http_connection_manager::v3::HttpConnectionManager;
use super::proto::{cluster, core, endpoint, listener, nested, route, structure, text};
use super::topology::Topology;
use super::{Proxy, Resource, Settings, type_url};
use crate::index::{Concern, Index, Requested};
use route::route::Action;
use route::route_action::ClusterSpecifier;

const REVIEWS: &str = "reviews.shop.svc.cluster.local";

pub(crate) fn object<S: Kind>(yaml: &str) -> Arc<Object<S>> {
    let value: serde_json::Value = serde_yaml::from_str(yaml).expect("YAML");
    Arc::new(Object::from_value(value).expect("an object"))
}

pub(crate) fn put<S: Collected>(snapshot: &mut Snapshot, yaml: &str) -> ChangeSet {
    let mut changes = ChangeSet::default();
    if let Some((change, scope)) = snapshot.insert(object::<S>(yaml)) {
        changes.add(change, scope);
    }
    assert!(changes.iter().all(|(_, scope)| scope == Scope::Content));
    changes
}

pub(crate) fn service(name: &str, ip: &str, port: u16, port_name: &str) -> String {
    format!(
        "{{metadata: {{name: {name}, namespace: shop}}, spec: {{clusterIP: {ip}, selector: {{app: {name}}}, \
         ports: [{{name: {port_name}, port: {port}}}]}}}}"
    )
}

fn pod(name: &str, app: &str, version: &str, ip: &str) -> String {
    format!(
        "{{metadata: {{name: {name}, namespace: shop, labels: {{app: {app}, version: {version}, \
         security.istio.io/tlsMode: istio}}}}, spec: {{serviceAccountName: {app}, containers: [{{name: app}}]}}, \
         status: {{phase: Running, podIP: {ip}}}}}"
    )
}

fn slice(service: &str, port_name: &str, port: u16, pods: &[(&str, &str)]) -> String {
    let endpoint = |(pod, ip): &(&str, &str)| {
        format!(
            "{{addresses: [{ip}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: {pod}, namespace: shop}}}}"
        )
    };
    let endpoints: Vec<String> = pods.iter().map(endpoint).collect();
    format!(
        "{{metadata: {{name: {service}-1, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}, \
         addressType: IPv4, ports: [{{name: {port_name}, port: {port}}}], endpoints: [{}]}}",
        endpoints.join(", ")
    )
}

const CANARY: &str = "{metadata: {name: reviews, namespace: shop}, spec: {hosts: [reviews], http: [
  {match: [{headers: {x-canary: {exact: 'true'}}}], route: [{destination: {host: reviews, subset: v2}}]},
  {route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]}]}}";

pub(crate) fn shop() -> Snapshot {
    let mut snapshot = Snapshot::default();
    put::<Service>(&mut snapshot, &service("reviews", "10.96.0.10", 9080, "http"));
    put::<Service>(&mut snapshot, &service("db", "10.96.0.11", 27017, "mongo"));
    put::<Service>(&mut snapshot, &service("cache", "10.96.0.12", 6000, "things"));
    put::<Pod>(&mut snapshot, &pod("reviews-v1-a", "reviews", "v1", "10.1.0.1"));
    put::<Pod>(&mut snapshot, &pod("reviews-v2-a", "reviews", "v2", "10.1.0.2"));
    let pods = [("reviews-v1-a", "10.1.0.1"), ("reviews-v2-a", "10.1.0.2")];
    put::<EndpointSlice>(&mut snapshot, &slice("reviews", "http", 9080, &pods));
    put::<DestinationRule>(
        &mut snapshot,
        "{metadata: {name: reviews, namespace: shop}, spec: {host: reviews, \
         subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}}",
    );
    put::<VirtualService>(&mut snapshot, CANARY);
    snapshot
}

pub(crate) fn index(snapshot: Snapshot) -> Index {
    let settings = Settings { access_log_file: "/dev/stdout".to_owned(), ..Settings::default() };
    Index::build(snapshot, Arc::new(settings))
}

pub(crate) fn proxy(kind: &str, name: &str, namespace: &str, labels: &[(&str, &str)]) -> Proxy {
    let labels = labels.iter().map(|(key, value)| (*key, text(value)));
    let node = core::Node {
        id: format!("{kind}~10.1.0.9~{name}.{namespace}~{namespace}.svc.cluster.local"),
        metadata: Some(structure([("LABELS", nested(labels))])),
        ..core::Node::default()
    };
    Proxy::parse(&node).expect("a node")
}

pub(crate) fn sidecar(app: &str, namespace: &str) -> Proxy {
    proxy("sidecar", &format!("{app}-v1-a"), namespace, &[("app", app), ("version", "v1")])
}

/// The message inside a generated resource.
pub(crate) fn decoded<M: prost::Message + Default>(resource: &Resource) -> M {
    let any = <prost_types::Any as prost::Message>::decode(resource.any.clone()).expect("an Any");
    M::decode(&*any.value).expect("the message of its type")
}

pub(crate) fn one(index: &Index, proxy: &Proxy, type_url: &str, name: &str) -> Arc<Resource> {
    let names = [Arc::from(name)];
    let found = index.resources(proxy, type_url, Requested::Names(&names));
    found.into_iter().next().unwrap_or_else(|| panic!("no {name}"))
}

fn cluster_of(action: &route::Route) -> Vec<(String, u32)> {
    let Some(Action::Route(forwarded)) = &action.action else { panic!("a route") };
    match forwarded.cluster_specifier.as_ref() {
        Some(ClusterSpecifier::Cluster(name)) => vec![(name.clone(), 100)],
        Some(ClusterSpecifier::WeightedClusters(weighted)) => weighted
            .clusters
            .iter()
            .map(|one| (one.name.clone(), one.weight.as_ref().map_or(0, |weight| weight.value)))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_canary_matches_its_header_first_and_splits_the_rest() {
    let index = index(shop());
    let made: route::RouteConfiguration =
        decoded(&one(&index, &sidecar("web", "shop"), type_url::ROUTE, "9080"));
    assert!(made.ignore_port_in_host_matching);
    let host =
        made.virtual_hosts.iter().find(|host| host.name == format!("{REVIEWS}:9080")).expect("reviews");
    for domain in [REVIEWS, "reviews", "reviews.shop.svc", "reviews.shop", "10.96.0.10"] {
        assert!(host.domains.iter().any(|known| known == domain), "{domain}: {:?}", host.domains);
    }
    let v2 = format!("outbound|9080|v2|{REVIEWS}");
    assert_eq!(cluster_of(&host.routes[0]), [(v2.clone(), 100)]);
    assert_eq!(host.routes[0].r#match.as_ref().map(|matched| matched.headers.len()), Some(1));
    assert_eq!(cluster_of(&host.routes[1]), [(format!("outbound|9080|v1|{REVIEWS}"), 90), (v2, 10)]);
    assert!(made.virtual_hosts.iter().any(|host| host.name == "allow_any"));

    let elsewhere: route::RouteConfiguration =
        decoded(&one(&index, &sidecar("web", "other"), type_url::ROUTE, "9080"));
    let host = elsewhere.virtual_hosts.iter().find(|host| host.name.starts_with("reviews")).expect("reviews");
    assert!(!host.domains.iter().any(|domain| domain == "reviews"));
}

#[test]
fn subsets_choose_endpoints_and_mutual_tls_follows_the_workload() {
    let mut snapshot = shop();
    let before = index(snapshot.clone());
    let name = format!("outbound|9080|v2|{REVIEWS}");
    let assignment = |index: &Index| -> endpoint::ClusterLoadAssignment {
        decoded(&one(index, &sidecar("web", "shop"), type_url::ENDPOINT, &name))
    };
    let endpoints = assignment(&before).endpoints;
    assert_eq!((endpoints.len(), endpoints[0].lb_endpoints.len()), (1, 1));
    let takes_tls = |one: &endpoint::LbEndpoint| {
        one.metadata
            .as_ref()
            .is_some_and(|data| data.filter_metadata.contains_key("envoy.transport_socket_match"))
    };
    assert!(takes_tls(&endpoints[0].lb_endpoints[0]));
    let made: cluster::Cluster = decoded(&one(&before, &sidecar("web", "shop"), type_url::CLUSTER, &name));
    let matches: Vec<_> = made.transport_socket_matches.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(matches, ["tlsMode-istio", "tlsMode-disabled"]);

    let changes = put::<PeerAuthentication>(
        &mut snapshot,
        "{metadata: {name: off, namespace: shop}, spec: {mtls: {mode: DISABLE}}}",
    );
    let (after, _) = before.next(snapshot, before.settings.clone(), &changes);
    assert!(!takes_tls(&assignment(&after).endpoints[0].lb_endpoints[0]));
}

#[test]
fn inbound_chains_stand_by_port_and_outbound_listeners_by_protocol() {
    let index = index(shop());
    let set = index.set(&sidecar("reviews", "shop"), type_url::LISTENER);
    let names: Vec<&str> = set.resources.iter().map(|one| one.name.as_ref()).collect();
    assert_eq!(
        names,
        ["0.0.0.0_9080", "10.96.0.11_27017", "10.96.0.12_6000", "virtualInbound", "virtualOutbound"]
    );
    let inbound: listener::Listener = decoded(set.get("virtualInbound").expect("inbound"));
    let chains = |name: &str| inbound.filter_chains.iter().filter(|chain| chain.name == name).count();
    assert_eq!(chains("0.0.0.0_9080"), 2);
    assert_eq!(chains("virtualInbound-catchall-http"), 2);
    assert_eq!(chains("virtualInbound"), 3);
    let sniffed: listener::Listener = decoded(set.get("10.96.0.12_6000").expect("cache"));
    assert_eq!(sniffed.filter_chains.len(), 1);
    assert!(sniffed.default_filter_chain.is_some());
    let clusters = index.set(&sidecar("reviews", "shop"), type_url::CLUSTER);
    for name in ["inbound|9080||", "BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"] {
        assert!(clusters.get(name).is_some(), "{name}");
    }
}

#[test]
fn a_gateway_serves_what_is_bound_to_it() {
    let mut snapshot = shop();
    put::<Gateway>(
        &mut snapshot,
        "{metadata: {name: edge, namespace: shop}, spec: {selector: {istio: ingressgateway}, servers: [\
         {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}, \
         {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['a.example.com'], \
          tls: {mode: SIMPLE, credentialName: cert}}]}}",
    );
    put::<VirtualService>(
        &mut snapshot,
        "{metadata: {name: edge, namespace: shop}, spec: {hosts: [a.example.com], gateways: [edge], http: [\
         {match: [{uri: {prefix: /reviews}}], route: [{destination: {host: reviews, port: {number: 9080}}}]}]}}",
    );
    put::<Service>(
        &mut snapshot,
        "{metadata: {name: istio-ingressgateway, namespace: istio-system}, spec: {clusterIP: 10.96.0.99, \
         selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]}}",
    );
    let index = index(snapshot);
    let router = proxy("router", "gw", "istio-system", &[("istio", "ingressgateway")]);
    let set = index.set(&router, type_url::LISTENER);
    let names: Vec<&str> = set.resources.iter().map(|one| one.name.as_ref()).collect();
    assert_eq!(names, ["0.0.0.0_8080", "0.0.0.0_8443"]);
    for name in ["http.8080", "https.443.https.edge.shop"] {
        let made: route::RouteConfiguration = decoded(&one(&index, &router, type_url::ROUTE, name));
        assert_eq!(made.virtual_hosts[0].domains, ["a.example.com"], "{name}");
        assert_eq!(
            cluster_of(&made.virtual_hosts[0].routes[0]),
            [(format!("outbound|9080||{REVIEWS}"), 100)]
        );
    }
    let topology = Topology { trusted_proxies: 2, proxy_protocol: true, ..Topology::default() };
    let behind = Proxy { topology, ..router };
    let made: listener::Listener = decoded(&one(&index, &behind, type_url::LISTENER, "0.0.0.0_8443"));
    let inspected: Vec<&str> = made.listener_filters.iter().map(|filter| filter.name.as_str()).collect();
    assert_eq!(inspected, ["envoy.filters.listener.proxy_protocol", "envoy.filters.listener.tls_inspector"]);
    let Some(listener::filter::ConfigType::TypedConfig(config)) =
        &made.filter_chains[0].filters[0].config_type
    else {
        panic!("a configuration")
    };
    let manager = <HttpConnectionManager as prost::Message>::decode(&*config.value).expect("a manager");
    assert_eq!(manager.xff_num_trusted_hops, 2);
}

#[test]
fn a_credential_of_a_rule_is_in_the_namespace_of_the_proxy() {
    let mut snapshot = shop();
    put::<DestinationRule>(
        &mut snapshot,
        "{metadata: {name: originate, namespace: istio-system}, spec: {host: reviews.shop.svc.cluster.local, trafficPolicy: \
         {tls: {mode: MUTUAL, credentialName: client-credential, sni: reviews.shop.svc.cluster.local}}}}",
    );
    let router = proxy("router", "out", "istio-system", &[("istio", "egressgateway")]);
    let name = format!("outbound|9080||{REVIEWS}");
    let made: cluster::Cluster = decoded(&one(&index(snapshot), &router, type_url::CLUSTER, &name));
    let socket = format!("{:?}", String::from_utf8_lossy(&prost::Message::encode_to_vec(&made)));
    assert!(socket.contains("kubernetes://client-credential-cacert"), "{socket}");
}

#[test]
fn policies_with_targets_are_for_the_proxies_of_gateways() {
    let mut snapshot = shop();
    put::<sagene_api::istio::security::AuthorizationPolicy>(
        &mut snapshot,
        "{metadata: {name: front, namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}], \
         rules: [{}]}}",
    );
    let index = index(snapshot);
    let policies = |name: &str, labels: &[(&str, &str)]| {
        crate::index::inbound::key_of(&index, &proxy("router", name, "shop", labels)).authorization.len()
    };
    let label = "gateway.networking.k8s.io/gateway-name";
    assert_eq!(policies("front-istio", &[(label, "front")]), 1);
    assert_eq!(policies("back-istio", &[(label, "back")]), 0);
    assert_eq!(policies("web", &[("app", "web")]), 0);
}

#[test]
fn a_sidecar_opens_ports_of_its_own() {
    let mut snapshot = shop();
    put::<sagene_api::istio::networking::Sidecar>(
        &mut snapshot,
        "{metadata: {name: own, namespace: shop}, spec: {workloadSelector: {labels: {app: reviews}}, ingress: [\
         {port: {number: 7000, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:7001'}, \
         {port: {number: 7002, protocol: TCP, name: tcp}, defaultEndpoint: '0.0.0.0:7003', \
          connectionPool: {tcp: {maxConnections: 77}}}, \
         {port: {number: 7004, protocol: HTTP, name: own}, bind: 10.1.0.9, captureMode: NONE}], \
         inboundConnectionPool: {tcp: {maxConnections: 78}}}}",
    );
    let index = index(snapshot);
    let clusters = index.set(&sidecar("reviews", "shop"), type_url::CLUSTER);
    assert!(clusters.get("inbound|9080||").is_none(), "the ports of services do not count");
    let made: cluster::Cluster = decoded(clusters.get("inbound|7000||").expect("the port"));
    assert!(format!("{:?}", made.load_assignment).contains("7001"));
    let made: cluster::Cluster = decoded(clusters.get("inbound|7002||").expect("the port"));
    assert!(format!("{:?}", made.lb_config).contains("7003"));
    for (cluster, limit) in [("inbound|7000||", 78), ("inbound|7002||", 77)] {
        let made: cluster::Cluster = decoded(clusters.get(cluster).expect("the port"));
        assert!(format!("{:?}", made.circuit_breakers).contains(&format!("value: {limit} ")), "{cluster}");
    }
    let listeners = index.set(&sidecar("reviews", "shop"), type_url::LISTENER);
    let made: listener::Listener = decoded(listeners.get("10.1.0.9_7004").expect("a listener of its own"));
    assert!(made.bind_to_port.is_none() && !made.filter_chains.is_empty());
    let made: cluster::Cluster = decoded(clusters.get("inbound|7004||").expect("the port"));
    assert!(
        format!("{:?}", made.load_assignment).contains("127.0.0.1"),
        "the socket itself is on the address"
    );
}

#[test]
fn a_change_costs_what_it_changes() {
    let mut snapshot = shop();
    let before = index(snapshot.clone());
    let (web, other) = (sidecar("web", "shop"), sidecar("other", "shop"));
    let clusters = before.set(&web, type_url::CLUSTER);
    // Workloads of one namespace without services of their own share everything.
    assert!(Arc::ptr_eq(&clusters, &before.set(&other, type_url::CLUSTER)));

    let moved = [("reviews-v1-a", "10.1.0.1"), ("reviews-v2-a", "10.1.0.77")];
    let changes = put::<EndpointSlice>(&mut snapshot, &slice("reviews", "http", 9080, &moved));
    let (after, affected) = before.next(snapshot.clone(), before.settings.clone(), &changes);
    assert_eq!(affected.concern(&web, type_url::CLUSTER), Concern::Nothing);
    assert_eq!(affected.concern(&web, type_url::LISTENER), Concern::Nothing);
    assert!(matches!(affected.concern(&web, type_url::ENDPOINT), Concern::Hosts(hosts) if hosts.len() == 1));
    assert!(Arc::ptr_eq(&clusters, &after.set(&web, type_url::CLUSTER)));
    let version = |index: &Index, type_url: &str, name: &str| one(index, &web, type_url, name).version;
    let v2 = format!("outbound|9080|v2|{REVIEWS}");
    assert_ne!(version(&before, type_url::ENDPOINT, &v2), version(&after, type_url::ENDPOINT, &v2));

    let changes = put::<VirtualService>(&mut snapshot, &CANARY.replace("90", "80").replace("10}", "20}"));
    let (last, affected) = after.next(snapshot.clone(), after.settings.clone(), &changes);
    assert_eq!(affected.concern(&web, type_url::CLUSTER), Concern::Nothing);
    assert_eq!(affected.concern(&web, type_url::ROUTE), Concern::Anything);
    assert_ne!(version(&after, type_url::ROUTE, "9080"), version(&last, type_url::ROUTE, "9080"));
    // What was generated anew with the same content has the same version.
    assert_eq!(
        after.set(&web, type_url::LISTENER).version,
        index(snapshot).set(&web, type_url::LISTENER).version
    );
}

#[test]
fn policies_refuse_before_they_allow_and_an_empty_allow_refuses_all() {
    use sagene_api::istio::security::AuthorizationPolicy;
    let mut snapshot = shop();
    put::<AuthorizationPolicy>(&mut snapshot, "{metadata: {name: nothing, namespace: shop}, spec: {}}");
    put::<AuthorizationPolicy>(
        &mut snapshot,
        "{metadata: {name: readers, namespace: shop}, spec: {selector: {matchLabels: {app: reviews}}, action: DENY, rules: [\
         {from: [{source: {notNamespaces: [shop]}}], to: [{operation: {methods: [POST], paths: ['/admin*']}}]}]}}",
    );
    let index = index(snapshot);
    let policies = |app: &str| {
        let inbound = index.inbound(&sidecar(app, "shop"));
        let made = super::authorization::policies(&index, &inbound.key, false);
        (made.http.len(), made.tcp.len())
    };
    assert_eq!(policies("reviews"), (2, 2));
    assert_eq!(policies("db"), (1, 1));
}

#[test]
fn originated_tls_is_for_the_host_of_the_request() {
    use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
    use prost::Message;
    let mut snapshot = shop();
    put::<DestinationRule>(
        &mut snapshot,
        "{metadata: {name: cache, namespace: shop}, spec: {host: cache, trafficPolicy: {tls: {mode: SIMPLE}}}}",
    );
    let index = index(snapshot);
    let name = "outbound|6000||cache.shop.svc.cluster.local";
    let made: cluster::Cluster = decoded(&one(&index, &sidecar("web", "shop"), type_url::CLUSTER, name));
    assert!(made.transport_socket_matches.is_empty() && made.transport_socket.is_some());
    let options = made.typed_extension_protocol_options.values().next().expect("HTTP options");
    let options = HttpProtocolOptions::decode(options.value.as_slice()).expect("HTTP options");
    assert!(
        options
            .upstream_http_protocol_options
            .is_some_and(|names| names.auto_sni && names.auto_san_validation)
    );
}
