//! Which endpoints a client prefers: priorities by nearness, or shares of traffic by locality.

use std::collections::BTreeSet;

use sagene_api::istio::networking::traffic_policy::TrafficPolicy;
use sagene_api::istio::networking::traffic_policy::load_balancer::{
    LocalityDistribute, LocalityFailover, LocalityLoadBalancerSetting,
};
use sagene_model::Service;
use sagene_model::endpoint::Endpoint;
use sagene_model::locality::{
    HOSTNAME_LABEL, Locality, NETWORK_LABEL, Place, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL,
    label_of_endpoint,
};

use super::super::Settings;
use super::super::proto::{endpoint, uint};

/// What a Service with `trafficDistribution: PreferSameZone` (formerly `PreferClose`) asks for.
const SAME_ZONE: [&str; 3] = [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL];
/// What one with `PreferSameNode` asks for.
const SAME_NODE: [&str; 5] = [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOSTNAME_LABEL];
/// Ranks that nearness by locality tells apart: 0 to 3, and 4 for regions that do not take over.
const RANKS: u32 = 5;

/// A client's preference among the endpoints of a service.
pub(crate) struct Preference<'a> {
    place: &'a Place,
    settings: &'a Settings,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Shares of traffic.
    Shares(&'a LocalityDistribute),
    /// Near endpoints first, by labels and by regions.
    Nearness { labels: Vec<&'a str>, regions: &'a [LocalityFailover] },
}

/// The setting that holds for a service.
enum Setting<'a> {
    /// Of a rule, or of the mesh.
    Declared(&'a LocalityLoadBalancerSetting),
    /// Of the Service: counts even where failing endpoints are not noticed.
    Service(&'static [&'static str]),
}

/// A rule's setting goes before the Service's, and that before the mesh's. `None` = localities do not matter.
fn setting<'a>(settings: &'a Settings, service: &Service, policy: &'a TrafficPolicy) -> Option<Setting<'a>> {
    let of_rule = policy.load_balancer.as_ref().and_then(|balancer| balancer.locality_lb_setting.as_ref());
    if let Some(declared) = of_rule {
        return declared.enabled.unwrap_or(true).then_some(Setting::Declared(declared));
    }
    let of_service = asked_labels(service);
    if !of_service.is_empty() {
        return Some(Setting::Service(of_service));
    }
    settings.locality_lb.as_ref().map(Setting::Declared)
}

fn asked_labels(service: &Service) -> &'static [&'static str] {
    match service.traffic_distribution.as_str() {
        "PreferClose" | "PreferSameZone" => &SAME_ZONE,
        "PreferSameNode" => &SAME_NODE,
        _ => &[],
    }
}

/// True where localities have weights of their own in a cluster.
pub(crate) fn weighs_localities(settings: &Settings, service: &Service, policy: &TrafficPolicy) -> bool {
    setting(settings, service, policy).is_some()
}

/// The keys of labels by which any service or rule orders endpoints: proxies that agree in them prefer the same.
pub(crate) fn asked_keys<'a>(
    settings: &'a Settings,
    services: impl Iterator<Item = &'a Service>,
    declared: impl Iterator<Item = &'a LocalityLoadBalancerSetting>,
) -> BTreeSet<String> {
    let of_rules = declared.chain(settings.locality_lb.as_ref()).flat_map(|one| &one.failover_priority);
    let of_rules = of_rules.filter(|entry| !entry.contains('=')).cloned();
    let of_services = services.flat_map(asked_labels).map(|key| (*key).to_owned());
    of_services.chain(of_rules).collect()
}

impl<'a> Preference<'a> {
    /// The preference of clients at a place; `None` where all endpoints are alike to them. Nearness counts only where failing
    /// endpoints are noticed, or where the Service asks for it.
    pub(crate) fn of(
        settings: &'a Settings,
        place: &'a Place,
        service: &Service,
        policy: &'a TrafficPolicy,
    ) -> Option<Self> {
        let kind = match setting(settings, service, policy)? {
            Setting::Service(labels) => Kind::Nearness { labels: labels.to_vec(), regions: &[] },
            Setting::Declared(declared) if !declared.distribute.is_empty() => {
                let here = Locality::parse(&place.locality);
                Kind::Shares(declared.distribute.iter().find(|one| here.is_covered_by(&one.from))?)
            }
            Setting::Declared(_) if policy.outlier_detection.is_none() => return None,
            Setting::Declared(declared) => Kind::Nearness {
                labels: declared.failover_priority.iter().map(String::as_str).collect(),
                regions: &declared.failover,
            },
        };
        Some(Self { place, settings, kind })
    }

    /// How far an endpoint is: the lowest rank goes first.
    pub(crate) fn rank(&self, one: &Endpoint) -> u32 {
        let Kind::Nearness { labels, regions } = &self.kind else { return 0 };
        let agreeing = labels.iter().take_while(|entry| self.agrees(entry, one)).count();
        let by_labels = labels.len() - agreeing;
        let by_labels = u32::try_from(by_labels).unwrap_or(u32::MAX / RANKS - 1);
        if !labels.is_empty() && regions.is_empty() {
            return by_labels;
        }
        by_labels * RANKS + self.distance(one, regions)
    }

    /// Whether an endpoint has the label that `entry` asks for: the client's value of it, or the one that is written there.
    fn agrees(&self, entry: &str, one: &Endpoint) -> bool {
        let (key, wanted) = match entry.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (entry, self.place.labels.get(entry).map(String::as_str)),
        };
        label_of_endpoint(key, one, &self.settings.mesh) == wanted
    }

    fn distance(&self, one: &Endpoint, regions: &[LocalityFailover]) -> u32 {
        let (here, there) = (Locality::parse(&self.place.locality), Locality::parse(&one.locality));
        let distance = here.distance(there);
        let takes_over = regions.iter().find(|one| one.from == here.region);
        match takes_over {
            Some(to) if distance == 3 && to.to != there.region => 4,
            _ => distance,
        }
    }

    /// Gives localities their shares; those that have none get no traffic.
    pub(crate) fn distribute(&self, groups: &mut Vec<endpoint::LocalityLbEndpoints>) {
        let Kind::Shares(shares) = &self.kind else { return };
        let pattern_of = |group: &endpoint::LocalityLbEndpoints| {
            let place = group.locality.as_ref()?;
            let place = Locality { region: &place.region, zone: &place.zone, subzone: &place.sub_zone };
            let covering = shares.to.iter().filter(|(pattern, _)| place.is_covered_by(pattern));
            covering.max_by_key(|(pattern, _)| exactness(pattern))
        };
        groups.retain(|group| pattern_of(group).is_some_and(|(_, share)| *share > 0));
        let weight = |group: &endpoint::LocalityLbEndpoints| {
            group.load_balancing_weight.as_ref().map_or(1, |weight| u64::from(weight.value))
        };
        let patterns: Vec<_> = groups.iter().map(|group| (pattern_of(group), weight(group))).collect();
        for (group, (pattern, own)) in groups.iter_mut().zip(&patterns) {
            // Localities that one pattern covers divide its share by their weights.
            let all: u64 =
                patterns.iter().filter(|(other, _)| other == pattern).map(|(_, weight)| weight).sum();
            let share = pattern.map_or(0, |(_, share)| u64::from(*share));
            group.load_balancing_weight =
                uint(u32::try_from((own * share).div_ceil(all.max(1))).unwrap_or(u32::MAX));
        }
    }
}

/// How many parts of a locality a pattern fixes.
fn exactness(pattern: &str) -> usize {
    pattern.split('/').filter(|part| !part.is_empty() && *part != "*").count()
}
