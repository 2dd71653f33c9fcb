//! What is accepted and has no effect yet: told by `analyze` and by the objects' statuses, so that nobody waits for it.
//!
//! Of the patches of an EnvoyFilter only filters that no proxy has are among it: whether the rest applies is known to those who apply it.

pub mod envoy_filter;

use sagene_api::istio::networking::common::CaptureMode;
use sagene_api::istio::networking::gateway::ServerTlsMode;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::{Object, Resource};

use crate::attribute_gen::is_attribute_gen;
use crate::gateway_api::{Target, target_of};
use crate::snapshot::{Collection, Kind};
use crate::{Protocol, Snapshot};

/// An object, or a part of it, without effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotYetEffective {
    /// Kind of the object.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The field, such as `spec.servers[0].tls.mode`; `spec` where it is the whole object.
    pub field: String,
    /// What has no effect, in a few words.
    pub what: String,
    /// The object's `metadata.generation`.
    pub generation: i64,
}

/// Everything in the snapshot that has no effect yet.
pub fn find(snapshot: &Snapshot) -> Vec<NotYetEffective> {
    let mut found = Vec::new();
    whole(&snapshot.workload_groups, Kind::WorkloadGroup, &mut found);
    each(&snapshot.authorization_policies, Kind::AuthorizationPolicy, &mut found, authorization_policy);
    each(&snapshot.wasm_plugins, Kind::WasmPlugin, &mut found, wasm_plugin);
    each(&snapshot.gateways, Kind::Gateway, &mut found, gateway);
    each(&snapshot.destination_rules, Kind::DestinationRule, &mut found, destination_rule);
    each(&snapshot.service_entries, Kind::ServiceEntry, &mut found, service_entry);
    each(&snapshot.sidecars, Kind::Sidecar, &mut found, sidecar);
    each(&snapshot.virtual_services, Kind::VirtualService, &mut found, virtual_service);
    for object in snapshot.envoy_filters.iter() {
        found.extend(envoy_filter::parts(&object.spec).into_iter().map(|(field, what)| NotYetEffective {
            kind: Kind::EnvoyFilter,
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone(),
            field,
            what,
            generation: object.metadata.generation,
        }));
    }
    found.sort();
    found
}

/// A field and what has no effect there.
type Parts = Vec<(String, &'static str)>;

fn whole<S: Resource>(collection: &Collection<S>, kind: Kind, found: &mut Vec<NotYetEffective>) {
    each(collection, kind, found, |_| vec![("spec".to_owned(), "objects of this kind have no effect yet")]);
}

fn each<S: Resource>(
    collection: &Collection<S>,
    kind: Kind,
    found: &mut Vec<NotYetEffective>,
    read: impl Fn(&Object<S>) -> Parts,
) {
    for object in collection.iter() {
        found.extend(read(object).into_iter().map(|(field, what)| NotYetEffective {
            kind,
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone(),
            field,
            what: what.to_owned(),
            generation: object.metadata.generation,
        }));
    }
}

fn gateway(object: &Object<sagene_api::istio::networking::Gateway>) -> Parts {
    let mut parts = Parts::new();
    for (index, server) in object.spec.servers.iter().enumerate() {
        let at = |field: &str| format!("spec.servers[{index}].{field}");
        let Some(tls) = &server.tls else { continue };
        if tls.mode == ServerTlsMode::AutoPassthrough {
            parts.push((at("tls.mode"), "AUTO_PASSTHROUGH serves nothing yet"));
        }
        if !tls.verify_certificate_spki.is_empty() || !tls.verify_certificate_hash.is_empty() {
            parts.push((at("tls"), "verifyCertificateSpki and verifyCertificateHash are not checked yet"));
        }
        if !tls.ca_crl.is_empty() {
            parts.push((at("tls.caCrl"), "revocation lists from files are not read yet"));
        }
        if Protocol::parse(&server.port.protocol) == Protocol::Unspecified {
            parts.push((at("port.protocol"), "unknown protocol: the server is served as TCP"));
        }
    }
    parts
}

fn destination_rule(object: &Object<sagene_api::istio::networking::DestinationRule>) -> Parts {
    let own = object.spec.traffic_policy.iter().map(|policy| ("spec.trafficPolicy".to_owned(), policy));
    let subsets = object.spec.subsets.iter().enumerate().filter_map(|(index, subset)| {
        Some((format!("spec.subsets[{index}].trafficPolicy"), subset.traffic_policy.as_ref()?))
    });
    let mut parts = Parts::new();
    for (path, policy) in own.chain(subsets) {
        let mut add = |field: &str, what: &'static str| parts.push((format!("{path}.{field}"), what));
        let Some(balancer) = &policy.load_balancer else { continue };
        if balancer.backend_utilization.is_some() {
            add("loadBalancer.backendUtilization", "has no effect, as in Istio");
        }
        if balancer.zone_aware_lb_setting.is_some() {
            add("loadBalancer.zoneAwareLbSetting", "has no effect yet");
        }
    }
    parts
}

fn authorization_policy(object: &Object<AuthorizationPolicy>) -> Parts {
    let mut targets = object.spec.target_ref.iter().chain(&object.spec.target_refs).peekable();
    let mut parts = Parts::new();
    if targets.peek().is_some() && targets.all(|target| target_of(target) == Target::Other) {
        parts.push((
            "spec.targetRefs".to_owned(),
            "policies attached to anything but Gateways have no effect yet",
        ));
    }
    parts
}

fn wasm_plugin(object: &Object<sagene_api::istio::extensions::WasmPlugin>) -> Parts {
    if !is_attribute_gen(&object.spec) {
        let what = "WebAssembly is not run yet; of Istio's extensions attributegen is built in";
        return vec![("spec".to_owned(), what)];
    }
    if object.spec.r#match.iter().any(|traffic| !traffic.ports.is_empty()) {
        return vec![("spec.match".to_owned(), "ports have no effect yet: it holds for all")];
    }
    Parts::new()
}

fn service_entry(object: &Object<sagene_api::istio::networking::ServiceEntry>) -> Parts {
    use sagene_api::istio::networking::service_entry::Resolution;
    if object.spec.resolution == Resolution::DynamicDns {
        return vec![("spec.resolution".to_owned(), "DYNAMIC_DNS is not resolved yet")];
    }
    Parts::new()
}

fn sidecar(object: &Object<sagene_api::istio::networking::Sidecar>) -> Parts {
    let mut parts = Parts::new();
    for (index, listener) in object.spec.ingress.iter().enumerate() {
        let mut add =
            |field: &str, what: &'static str| parts.push((format!("spec.ingress[{index}].{field}"), what));
        if listener.default_endpoint.starts_with("unix:") {
            add("defaultEndpoint", "sockets of the file system are not reached yet: the port is not opened");
        }
        if !listener.bind.is_empty() && listener.capture_mode != CaptureMode::None {
            add("bind", "has no effect, as in Istio: what is captured is taken in on every address");
        }
    }
    for (index, listener) in object.spec.egress.iter().enumerate() {
        let at = |field: &str| format!("spec.egress[{index}].{field}");
        if listener.bind.starts_with("unix:") {
            parts.push((at("bind"), "sockets of the file system are not listened on yet"));
        }
        if listener.port.as_ref().is_some_and(|port| port.protocol.eq_ignore_ascii_case("HTTP_PROXY")) {
            parts.push((at("port.protocol"), "HTTP_PROXY is served as the protocol of each service"));
        }
    }
    parts
}

fn virtual_service(object: &Object<sagene_api::istio::networking::VirtualService>) -> Parts {
    let mut parts = Parts::new();
    for (index, route) in object.spec.tcp.iter().enumerate() {
        if route.r#match.iter().any(|condition| !condition.source_subnet.is_empty()) {
            parts.push((format!("spec.tcp[{index}].match"), "sourceSubnet has no effect yet"));
        }
    }
    parts
}
