//! What both rate limit filters, the local and the global one, count a request by.

use std::sync::Arc;

use crate::config::{Action, Descriptor, FieldError, RateLimitFacts, RateLimitRule};
use crate::http::exchange::Exchange;

/// Whether the rules of the virtual host count beside those of the route (`VhRateLimitsOptions`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HostRules {
    /// Only where the route has none.
    #[default]
    Override,
    /// Always.
    Include,
    /// Never.
    Ignore,
}

impl HostRules {
    /// Envoy's number for it.
    pub(crate) fn compile(from: i32) -> Result<Self, FieldError> {
        match from {
            0 => Ok(Self::Override),
            1 => Ok(Self::Include),
            2 => Ok(Self::Ignore),
            other => Err(FieldError::new("vh_rate_limits", format!("{other} is no option"))),
        }
    }
}

impl Exchange {
    /// The descriptors by the rules of the route and of its virtual host for a stage. Requests that are not forwarded
    /// have none.
    pub(super) fn route_descriptors(&self, stage: u32, host: HostRules) -> Vec<Descriptor> {
        let Some((vhost, route)) = &self.route else { return Vec::new() };
        let Action::Forward(forward) = &route.action else { return Vec::new() };
        let own = forward.rate_limits.as_slice();
        let host = if forward.include_vh_rate_limits { HostRules::Include } else { host };
        let of_host = match host {
            HostRules::Override if own.is_empty() => vhost.rate_limits.as_slice(),
            HostRules::Include => vhost.rate_limits.as_slice(),
            HostRules::Override | HostRules::Ignore => &[],
        };
        self.descriptors(own.iter().chain(of_host).filter(|rule| rule.stage == stage))
    }

    /// The descriptors by these rules.
    pub(super) fn descriptors<'r>(&self, rules: impl Iterator<Item = &'r RateLimitRule>) -> Vec<Descriptor> {
        let query = self.route_query();
        let cluster = self.routed_cluster();
        let facts = RateLimitFacts {
            query: &query,
            remote: self.remote,
            cluster: cluster.as_deref(),
            own_cluster: &self.scene.worker.own.cluster,
        };
        rules.filter_map(|rule| rule.descriptor(&facts)).collect()
    }

    /// The cluster that the route leads to.
    pub(super) fn routed_cluster(&self) -> Option<Arc<str>> {
        let (_, route) = self.route.as_ref()?;
        let Action::Forward(forward) = &route.action else { return None };
        match &forward.cluster_header {
            Some(header) => self.request.headers.get_text(header).map(Into::into),
            None => forward.pick(self.random).map(|chosen| chosen.name.clone()),
        }
    }
}
