//! Compiled network filters and the TCP proxy.

use std::sync::Arc;
use std::time::Duration;

use super::access_log::{self, AccessLog};
use super::field::{FieldError, Within, refuse_fields, refuse_if};
use super::http_manager::HttpManager;
use super::listener::{Direction, Terminal};
use super::proto::{self, listener, network};
use super::typed_struct;
use crate::filter::admission::Admission;
use crate::filter::rbac::Rbac;
use crate::stats::IstioStatsConfig;

/// The filters before the terminal one, in order of kind: metadata exchange, policies, metrics.
#[derive(Debug, Default)]
pub(crate) struct NetworkFilters {
    /// `istio.metadata_exchange`: the ALPN that stands for the exchange.
    pub(crate) metadata_exchange: bool,
    /// Whether a connection is served at all.
    pub(crate) admission: Vec<Admission>,
    pub(crate) rbac: Vec<Arc<Rbac>>,
    /// `istio.stats` on TCP.
    pub(crate) istio_stats: Option<IstioStatsConfig>,
}

/// A compiled `TcpProxy`.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    pub(crate) clusters: Vec<(Arc<str>, u32)>,
    /// Connections of one client go to one endpoint, where the cluster hashes.
    pub(crate) hash_source: bool,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_connection: Option<Duration>,
    pub(crate) max_connect_attempts: u32,
    /// Connections go through an HTTP proxy.
    pub(crate) tunnel: Option<Tunnel>,
    pub(crate) access_logs: Vec<Arc<AccessLog>>,
}

/// How an HTTP proxy is asked for a connection.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Host and port to be connected to.
    pub(crate) target: String,
    /// By POST with chunks instead of CONNECT.
    pub(crate) post: bool,
}

impl Tunnel {
    fn compile(from: &network::tcp_proxy::v3::tcp_proxy::TunnelingConfig) -> Result<Self, FieldError> {
        refuse_fields!(
            from,
            headers_to_add,
            propagate_response_headers,
            post_path,
            propagate_response_trailers,
        );
        let is_pattern = from.hostname.contains('%');
        refuse_if(is_pattern, "hostname", "patterns are not supported; name a host and a port")?;
        let is_head = from.hostname.bytes().any(|byte| byte.is_ascii_control() || byte == b' ');
        refuse_if(from.hostname.is_empty() || is_head, "hostname", "must be a host and a port")?;
        Ok(Self { target: from.hostname.clone(), post: from.use_post })
    }
}

impl TcpProxy {
    /// The cluster for a random number.
    pub(crate) fn cluster(&self, random: u64) -> Option<&Arc<str>> {
        let total: u64 = self.clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut point = random.checked_rem(total)?;
        self.clusters
            .iter()
            .find(|(_, weight)| {
                let hit = point < u64::from(*weight);
                point = point.saturating_sub(u64::from(*weight));
                hit
            })
            .map(|(name, _)| name)
    }

    fn compile(from: &network::tcp_proxy::v3::TcpProxy) -> Result<Self, FieldError> {
        use network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
        refuse_fields!(
            from,
            metadata_match,
            downstream_idle_timeout,
            upstream_idle_timeout,
            max_downstream_connection_duration_jitter_percentage,
            access_log_flush_interval,
            flush_access_log_on_connected,
            access_log_options,
            proxy_protocol_tlvs,
            upstream_connect_mode,
        );
        refuse_if(from.on_demand.is_some(), "on_demand", "on-demand clusters are not supported")?;
        let clusters = match &from.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => vec![(name.as_str().into(), 1)],
            Some(ClusterSpecifier::WeightedClusters(set)) => {
                set.clusters.iter().map(|each| (each.name.as_str().into(), each.weight)).collect()
            }
            None => return Err(FieldError::new("cluster", "is missing")),
        };
        Ok(Self {
            clusters,
            hash_source: hashes_source(&from.hash_policy)?,
            idle_timeout: proto::timeout(from.idle_timeout.as_ref(), Some(Duration::from_secs(3600))),
            max_connection: proto::timeout(from.max_downstream_connection_duration.as_ref(), None),
            max_connect_attempts: proto::uint(from.max_connect_attempts.as_ref(), 1).clamp(1, 16),
            tunnel: from
                .tunneling_config
                .as_ref()
                .map(Tunnel::compile)
                .transpose()
                .within("tunneling_config")?,
            access_logs: access_log::compile_all(&from.access_log)?,
        })
    }
}

fn hashes_source(policies: &[envoy_types::pb::envoy::r#type::v3::HashPolicy]) -> Result<bool, FieldError> {
    use envoy_types::pb::envoy::r#type::v3::hash_policy::PolicySpecifier;
    match policies {
        [] => Ok(false),
        [only] if matches!(only.policy_specifier, Some(PolicySpecifier::SourceIp(_))) => Ok(true),
        _ => Err(FieldError::new("hash_policy", "only source_ip is supported")),
    }
}

impl NetworkFilters {
    pub(crate) fn compile(
        list: &[listener::Filter],
        direction: Direction,
    ) -> Result<(Self, Terminal), FieldError> {
        let mut filters = Self::default();
        let mut terminal = Terminal::Close;
        for (index, filter) in list.iter().enumerate() {
            if !matches!(terminal, Terminal::Close) {
                return Err(FieldError::new(format!("filters[{index}]"), "stands behind a terminal filter"));
            }
            filters.add(filter, direction, &mut terminal).within_item("filters", index)?;
        }
        Ok((filters, terminal))
    }

    fn add(
        &mut self,
        filter: &listener::Filter,
        direction: Direction,
        terminal: &mut Terminal,
    ) -> Result<(), FieldError> {
        let any = match &filter.config_type {
            Some(listener::filter::ConfigType::TypedConfig(any)) => any,
            _ => {
                return Err(FieldError::new(
                    "typed_config",
                    "is missing; configuration by discovery (ECDS) is not supported yet",
                ));
            }
        };
        let any = &*typed_struct::unwrap(any).within("typed_config")?;
        if let Some(admission) = Admission::compile(any) {
            self.admission.push(admission?);
            return Ok(());
        }
        match proto::short_type(&any.type_url) {
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
                let manager = HttpManager::compile(&proto::decode(any)?, direction).within("typed_config")?;
                *terminal = Terminal::Http(Arc::new(manager));
            }
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
                *terminal =
                    Terminal::Tcp(Arc::new(TcpProxy::compile(&proto::decode(any)?).within("typed_config")?));
            }
            "envoy.extensions.filters.network.rbac.v3.RBAC" => {
                let rbac: network::rbac::v3::Rbac = proto::decode(any)?;
                refuse_if(rbac.matcher.is_some(), "typed_config.matcher", "is not supported; use rules")?;
                self.rbac.push(Arc::new(
                    Rbac::compile(rbac.rules.as_ref(), rbac.shadow_rules.as_ref()).within("typed_config")?,
                ));
            }
            "envoy.tcp.metadataexchange.config.MetadataExchange" => self.metadata_exchange = true,
            "stats.PluginConfig" => self.istio_stats = Some(IstioStatsConfig::compile(any)?),
            other => {
                let known = "http_connection_manager, tcp_proxy, rbac, connection_limit, local_ratelimit, istio.metadata_exchange, istio.stats";
                return Err(FieldError::new(
                    "typed_config",
                    format!("{other} is not supported; known network filters: {known}"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sagene_model::not_yet_effective::envoy_filter::NETWORK_FILTERS;

    use super::proto::Any;
    use super::*;

    #[test]
    fn the_filters_that_the_mesh_counts_on_are_known() {
        let unknown = |message: &str| {
            let any = Any { type_url: format!("type.googleapis.com/{message}"), ..Default::default() };
            let config_type = Some(listener::filter::ConfigType::TypedConfig(any));
            let filter = listener::Filter { config_type, ..Default::default() };
            let compiled = NetworkFilters::compile(&[filter], Direction::Outbound);
            compiled.is_err_and(|error| error.reason.contains("known network filters"))
        };
        assert!(unknown("envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy"));
        let missing: Vec<_> = NETWORK_FILTERS.into_iter().filter(|message| unknown(message)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
