//! Which DestinationRule holds for a client and a service, and what it says of a port and a subset.
//!
//! Looked for in the client's namespace, then the service's, then the root namespace; within one, the most specific host wins and rules
//! of the same host merge, oldest first: subsets add up, the first traffic policy stays.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::istio::networking::traffic_policy::{PortTrafficPolicy, TrafficPolicy};

use crate::hostname::Hostname;
use crate::labels::{Labels, has_all};
use crate::mesh::Mesh;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::visibility::is_visible;

/// The rules of one host in one namespace as one.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedRule {
    /// The objects it was made of, oldest first; the first one gives it its name.
    pub sources: Vec<Arc<Object<DestinationRule>>>,
    /// Policy for the host as a whole.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Subsets by order of declaration; the first of a name wins.
    pub subsets: Vec<Subset>,
}

/// Who sends the requests.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels, which `workloadSelector` matches.
    pub labels: &'a Labels,
}

/// The rule that holds for `service` when `client` calls it.
pub fn select(snapshot: &Snapshot, mesh: &Mesh, client: Client<'_>, service: &Service) -> Option<MergedRule> {
    let mut places = vec![client.namespace];
    for place in [service.namespace.as_str(), mesh.root_namespace.as_str()] {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.into_iter().find_map(|place| in_namespace(snapshot, mesh, client, &service.hostname, place))
}

fn in_namespace(
    snapshot: &Snapshot,
    mesh: &Mesh,
    client: Client<'_>,
    host: &Hostname,
    place: &str,
) -> Option<MergedRule> {
    let mut candidates: Vec<(Hostname, &Arc<Object<DestinationRule>>)> = snapshot
        .destination_rules
        .in_namespace(place)
        .filter(|rule| applies(rule, mesh, client, place))
        .map(|rule| (Hostname::resolve(&rule.spec.host, place, &mesh.domain), rule))
        .filter(|(rule_host, _)| rule_host.covers(host))
        .collect();
    // A rule for chosen workloads goes before one for all.
    let chosen = |rule: &Arc<Object<DestinationRule>>| rule.spec.workload_selector.is_none();
    candidates.sort_by(|(left_host, left), (right_host, right)| {
        let age =
            |rule: &Object<DestinationRule>| (rule.metadata.creation_timestamp, rule.metadata.name.clone());
        left_host
            .by_specificity(right_host)
            .then_with(|| chosen(left).cmp(&chosen(right)))
            .then_with(|| age(left).cmp(&age(right)))
    });
    let (best_host, best) = candidates.first().map(|(host, rule)| (host.clone(), Arc::clone(rule)))?;
    let alike = candidates.iter().filter(|(host, rule)| *host == best_host && chosen(rule) == chosen(&best));
    Some(merge(alike.map(|(_, rule)| Arc::clone(rule))))
}

fn applies(rule: &Object<DestinationRule>, mesh: &Mesh, client: Client<'_>, place: &str) -> bool {
    if let Some(selector) = &rule.spec.workload_selector {
        return place == client.namespace && has_all(client.labels, &selector.match_labels);
    }
    place == client.namespace
        || is_visible(&rule.spec.export_to, &mesh.default_destination_rule_export_to, place, client.namespace)
}

fn merge(rules: impl Iterator<Item = Arc<Object<DestinationRule>>>) -> MergedRule {
    let mut merged = MergedRule { sources: Vec::new(), traffic_policy: None, subsets: Vec::new() };
    for rule in rules {
        if merged.traffic_policy.is_none() {
            merged.traffic_policy.clone_from(&rule.spec.traffic_policy);
        }
        for subset in &rule.spec.subsets {
            if !merged.subsets.iter().any(|known| known.name == subset.name) {
                merged.subsets.push(subset.clone());
            }
        }
        merged.sources.push(rule);
    }
    merged
}

impl MergedRule {
    /// A subset by name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| subset.name == name)
    }

    /// What holds for a port, of a subset where one is named.
    pub fn policy(&self, port: u16, subset: Option<&Subset>) -> TrafficPolicy {
        let base = self.traffic_policy.as_ref().map(|policy| of_port(policy, port)).unwrap_or_default();
        match subset.and_then(|subset| subset.traffic_policy.as_ref()) {
            Some(own) => overlay(base, own, port),
            None => base,
        }
    }
}

/// A port's own settings replace the whole policy: nothing is inherited.
fn of_port(policy: &TrafficPolicy, port: u16) -> TrafficPolicy {
    match port_settings(policy, port) {
        Some(settings) => TrafficPolicy {
            load_balancer: settings.load_balancer.clone(),
            connection_pool: settings.connection_pool.clone(),
            outlier_detection: settings.outlier_detection.clone(),
            tls: settings.tls.clone(),
            ..TrafficPolicy::default()
        },
        None => TrafficPolicy { port_level_settings: Vec::new(), ..policy.clone() },
    }
}

fn port_settings(policy: &TrafficPolicy, port: u16) -> Option<&PortTrafficPolicy> {
    policy
        .port_level_settings
        .iter()
        .find(|settings| settings.port.as_ref().is_some_and(|selector| selector.number == u32::from(port)))
}

/// Each block that the subset sets replaces that block; its own port settings replace theirs even where they are empty.
fn overlay(mut base: TrafficPolicy, own: &TrafficPolicy, port: u16) -> TrafficPolicy {
    fn replace<T: Clone>(block: &mut Option<T>, own: &Option<T>) {
        if own.is_some() {
            block.clone_from(own);
        }
    }
    replace(&mut base.load_balancer, &own.load_balancer);
    replace(&mut base.connection_pool, &own.connection_pool);
    replace(&mut base.outlier_detection, &own.outlier_detection);
    replace(&mut base.tls, &own.tls);
    replace(&mut base.tunnel, &own.tunnel);
    replace(&mut base.proxy_protocol, &own.proxy_protocol);
    replace(&mut base.retry_budget, &own.retry_budget);
    if let Some(settings) = port_settings(own, port) {
        base.load_balancer.clone_from(&settings.load_balancer);
        base.connection_pool.clone_from(&settings.connection_pool);
        base.outlier_detection.clone_from(&settings.outlier_detection);
        base.tls.clone_from(&settings.tls);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::common::PortSelector;
    use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ClientTlsSettings, OutlierDetection};
    use sagene_api::kubernetes;

    fn service() -> Service {
        crate::service::of_kubernetes(
            &Object::new("shop", "cart", kubernetes::Service::default()),
            &Mesh::default(),
        )
    }

    fn rule(namespace: &str, name: &str, host: &str, subsets: &[&str]) -> Arc<Object<DestinationRule>> {
        let subsets =
            subsets.iter().map(|name| Subset { name: (*name).to_owned(), ..Subset::default() }).collect();
        Arc::new(Object::new(
            namespace,
            name,
            DestinationRule { host: host.to_owned(), subsets, ..DestinationRule::default() },
        ))
    }

    fn selected(rules: Vec<Arc<Object<DestinationRule>>>, namespace: &str) -> Option<MergedRule> {
        let mut snapshot = Snapshot::default();
        for rule in rules {
            snapshot.insert(rule);
        }
        select(&snapshot, &Mesh::default(), Client { namespace, labels: &Labels::new() }, &service())
    }

    #[test]
    fn the_clients_namespace_goes_first_and_rules_of_a_host_merge() {
        let rules = || {
            vec![
                rule("shop", "a", "cart", &["v1"]),
                rule("shop", "b", "cart.shop.svc.cluster.local", &["v1", "v2"]),
                rule("web", "c", "*.shop.svc.cluster.local", &["mine"]),
            ]
        };
        let merged = selected(rules(), "shop").expect("a rule");
        assert_eq!(
            merged.subsets.iter().map(|subset| subset.name.as_str()).collect::<Vec<_>>(),
            ["v1", "v2"]
        );
        assert_eq!(merged.sources.len(), 2);
        assert!(selected(rules(), "web").expect("a rule").subset("mine").is_some());
        assert!(selected(vec![rule("other", "x", "cart.shop.svc.cluster.local", &[])], "web").is_none());
    }

    #[test]
    fn private_rules_stay_private() {
        let mut private = Object::clone(&rule("shop", "a", "cart", &["v1"]));
        private.spec.export_to = vec![".".to_owned()];
        assert!(selected(vec![Arc::new(private.clone())], "web").is_none());
        assert!(selected(vec![Arc::new(private)], "shop").is_some());
    }

    #[test]
    fn port_settings_inherit_nothing_and_subsets_replace_blocks() {
        let tls = |mode| Some(ClientTlsSettings { mode, ..ClientTlsSettings::default() });
        let port = |number, tls| PortTrafficPolicy {
            port: Some(PortSelector { number }),
            tls,
            ..PortTrafficPolicy::default()
        };
        let outlier = Some(OutlierDetection::default());
        let policy = TrafficPolicy {
            tls: tls(ClientTlsMode::Simple),
            outlier_detection: outlier,
            port_level_settings: vec![port(8080, None)],
            ..TrafficPolicy::default()
        };
        let own = TrafficPolicy {
            tls: tls(ClientTlsMode::Disable),
            port_level_settings: vec![port(9090, None)],
            ..TrafficPolicy::default()
        };
        let subset = Subset { name: "v1".to_owned(), traffic_policy: Some(own), ..Subset::default() };
        let merged =
            MergedRule { sources: Vec::new(), traffic_policy: Some(policy), subsets: vec![subset.clone()] };
        assert_eq!(merged.policy(8080, None), TrafficPolicy::default());
        let of_subset = merged.policy(80, Some(&subset));
        assert_eq!(of_subset.tls, tls(ClientTlsMode::Disable));
        assert!(of_subset.outlier_detection.is_some());
        assert_eq!(merged.policy(9090, Some(&subset)).outlier_detection, None);
    }
}
