//! How an endpoint is chosen.

use sagene_api::Duration;
use sagene_api::istio::networking::traffic_policy::load_balancer::{
    ConsistentHashLb, LoadBalancerSettings, SimpleLb,
};

use super::super::proto::{UInt64Value, cluster, core, duration, types};
use cluster::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig,
    RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig,
};

/// Applies settings to a cluster; without any, the idler of two random endpoints.
pub(super) fn apply(made: &mut cluster::Cluster, settings: Option<&LoadBalancerSettings>) {
    let default = LoadBalancerSettings::default();
    let settings = settings.unwrap_or(&default);
    if let Some(hash) = &settings.consistent_hash {
        return consistent_hash(made, hash);
    }
    let slow_start = slow_start(settings);
    match settings.simple.unwrap_or(SimpleLb::Unspecified) {
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest => {
            made.lb_policy = LbPolicy::LeastRequest as i32;
            if slow_start.is_some() {
                let config = LeastRequestLbConfig { slow_start_config: slow_start, ..Default::default() };
                made.lb_config = Some(LbConfig::LeastRequestLbConfig(config));
            }
        }
        SimpleLb::RoundRobin => {
            made.lb_policy = LbPolicy::RoundRobin as i32;
            if slow_start.is_some() {
                made.lb_config =
                    Some(LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: slow_start }));
            }
        }
        SimpleLb::Random => made.lb_policy = LbPolicy::Random as i32,
        SimpleLb::Passthrough => {
            made.lb_policy = LbPolicy::ClusterProvided as i32;
            made.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
            made.eds_cluster_config = None;
            made.load_assignment = None;
        }
    }
}

/// Has localities share the traffic by the weights that their endpoints come with.
pub(super) fn weigh_localities(made: &mut cluster::Cluster) {
    use cluster::cluster::common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig};
    if made.lb_policy == LbPolicy::ClusterProvided as i32 {
        return;
    }
    made.common_lb_config.get_or_insert_with(Default::default).locality_config_specifier =
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig::default()));
}

fn consistent_hash(made: &mut cluster::Cluster, hash: &ConsistentHashLb) {
    let size = |value: u64| Some(UInt64Value { value });
    if let Some(maglev) = &hash.maglev {
        made.lb_policy = LbPolicy::Maglev as i32;
        if maglev.table_size != 0 {
            let config = MaglevLbConfig { table_size: size(maglev.table_size) };
            made.lb_config = Some(LbConfig::MaglevLbConfig(config));
        }
        return;
    }
    let declared = hash.ring_hash.as_ref().map_or(hash.minimum_ring_size, |ring| ring.minimum_ring_size);
    let minimum = if declared == 0 { 1024 } else { declared };
    made.lb_policy = LbPolicy::RingHash as i32;
    let config = RingHashLbConfig { minimum_ring_size: size(minimum), ..RingHashLbConfig::default() };
    made.lb_config = Some(LbConfig::RingHashLbConfig(config));
}

fn slow_start(settings: &LoadBalancerSettings) -> Option<SlowStartConfig> {
    let (window, percent, aggression) = match (&settings.warmup, settings.warmup_duration_secs) {
        (Some(warmup), _) => (warmup.duration, warmup.minimum_percent, warmup.aggression),
        (None, Some(window)) => (window, None, None),
        (None, None) => return None,
    };
    (window > Duration::ZERO).then(|| SlowStartConfig {
        slow_start_window: Some(duration(window)),
        min_weight_percent: percent.map(|value| types::Percent { value }),
        aggression: aggression.map(|default_value| core::RuntimeDouble {
            default_value,
            // Envoy refuses one without a key.
            runtime_key: "upstream.slow_start.aggression".to_owned(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_default_and_passthrough_takes_the_original_destination() {
        let mut made = cluster::Cluster::default();
        let hash = ConsistentHashLb { use_source_ip: Some(true), ..ConsistentHashLb::default() };
        apply(&mut made, Some(&LoadBalancerSettings { consistent_hash: Some(hash), ..Default::default() }));
        assert_eq!(made.lb_policy, LbPolicy::RingHash as i32);
        let Some(LbConfig::RingHashLbConfig(config)) = &made.lb_config else { panic!("a ring") };
        assert_eq!(config.minimum_ring_size, Some(UInt64Value { value: 1024 }));
        let passthrough = LoadBalancerSettings { simple: Some(SimpleLb::Passthrough), ..Default::default() };
        apply(&mut made, Some(&passthrough));
        assert_eq!(
            made.cluster_discovery_type,
            Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32))
        );
    }
}
