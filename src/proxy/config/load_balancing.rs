//! How a cluster spreads requests: its policy, and what changes the shares of endpoints and localities.

use std::time::Duration;

use super::field::{FieldError, refuse_if};
use super::proto::{self, cluster};

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LbPolicy {
    RoundRobin,
    LeastRequest(u32),
    Random,
    RingHash,
    Maglev,
}

/// New endpoints get a share that grows over a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SlowStart {
    pub(crate) window: Duration,
    /// Exponent of the share of the window that is over: 1 = linear.
    pub(crate) exponent: f64,
    /// Smallest share, 0 to 1.
    pub(crate) minimum: f64,
}

impl SlowStart {
    /// What the policy of a cluster says of it; round robin and least request know it.
    pub(crate) fn of(from: &cluster::Cluster) -> Option<Self> {
        use cluster::cluster::LbConfig;
        let config = match from.lb_config.as_ref()? {
            LbConfig::RoundRobinLbConfig(config) => config.slow_start_config.as_ref(),
            LbConfig::LeastRequestLbConfig(config) => config.slow_start_config.as_ref(),
            _ => None,
        }?;
        let aggression = config.aggression.as_ref().map_or(1.0, |runtime| runtime.default_value);
        Some(Self {
            window: proto::timeout(config.slow_start_window.as_ref(), None)?,
            exponent: if aggression > 0.0 { 1.0 / aggression } else { 1.0 },
            minimum: config.min_weight_percent.as_ref().map_or(10.0, |percent| percent.value) / 100.0,
        })
    }

    /// The share of its weight that an endpoint gets at this age; `None` once it gets all.
    pub(crate) fn share(&self, age: Duration) -> Option<f64> {
        if age >= self.window {
            return None;
        }
        let over = age.as_secs_f64().max(1.0) / self.window.as_secs_f64();
        Some(over.powf(self.exponent).clamp(self.minimum, 1.0))
    }
}

/// Share of healthy endpoints below which health counts no more; Envoy's default is 50.
pub(super) fn panic_percent(from: &cluster::Cluster) -> u32 {
    let common = from.common_lb_config.as_ref();
    let threshold = common.and_then(|common| common.healthy_panic_threshold.as_ref());
    threshold.map_or(50, |percent| percent.value as u32)
}

/// Whether localities have their share by weight, however many endpoints they have.
pub(super) fn locality_weighted(from: &cluster::Cluster) -> bool {
    use cluster::cluster::common_lb_config::LocalityConfigSpecifier as Specifier;
    let specifier =
        from.common_lb_config.as_ref().and_then(|common| common.locality_config_specifier.as_ref());
    matches!(specifier, Some(Specifier::LocalityWeightedLbConfig(_)))
}

pub(super) fn compile_lb(from: &cluster::Cluster) -> Result<LbPolicy, FieldError> {
    use cluster::cluster::{LbConfig, LbPolicy as Policy};
    refuse_if(
        from.load_balancing_policy.is_some(),
        "load_balancing_policy",
        "is not supported; use lb_policy",
    )?;
    Ok(match from.lb_policy() {
        Policy::RoundRobin | Policy::ClusterProvided => LbPolicy::RoundRobin,
        Policy::LeastRequest => {
            let choices = match &from.lb_config {
                Some(LbConfig::LeastRequestLbConfig(config)) => proto::uint(config.choice_count.as_ref(), 2),
                _ => 2,
            };
            LbPolicy::LeastRequest(choices.clamp(2, 16))
        }
        Policy::Random => LbPolicy::Random,
        Policy::RingHash => LbPolicy::RingHash,
        Policy::Maglev => LbPolicy::Maglev,
        Policy::LoadBalancingPolicyConfig => {
            return Err(FieldError::new("lb_policy", "LOAD_BALANCING_POLICY_CONFIG is not supported"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::SlowStart;
    use std::time::Duration;

    #[test]
    fn a_new_endpoints_share_grows_over_the_window() {
        let linear = SlowStart { window: Duration::from_secs(100), exponent: 1.0, minimum: 0.1 };
        let share = |seconds| linear.share(Duration::from_secs(seconds));
        assert_eq!((share(0), share(50), share(100)), (Some(0.1), Some(0.5), None));
        let steep = SlowStart { exponent: 0.5, ..linear };
        assert_eq!(steep.share(Duration::from_secs(25)), Some(0.5));
    }
}
