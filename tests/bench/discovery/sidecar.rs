//! One sidecar as the control plane sees it: a state-of-the-world stream that asks for what the answers name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{Cluster, cluster},
            core::v3::Node,
            listener::v3::{Filter, Listener, filter::ConfigType},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
        service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
    },
    google::protobuf::{Any, Struct, Value, value},
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
/// A response with every endpoint of a large mesh.
const LARGEST: usize = 64 << 20;

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Cds,
    Eds,
    Lds,
    Rds,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Cds, Self::Eds, Self::Lds, Self::Rds];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name))
    }

    fn type_url(self) -> &'static str {
        match self {
            Self::Cds => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Eds => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Lds => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Rds => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }
}

/// A sidecar, and what has reached it.
#[derive(Debug)]
pub(crate) struct Sidecar {
    number: usize,
    begun: Instant,
    /// Microseconds since the beginning, by kind; 0 for never.
    newest: [AtomicU64; 4],
    complete: AtomicU64,
    received: AtomicU64,
}

impl Sidecar {
    pub(crate) fn new(number: usize, begun: Instant) -> Self {
        let zero = || AtomicU64::new(0);
        Self { number, begun, newest: [zero(), zero(), zero(), zero()], complete: zero(), received: zero() }
    }

    pub(crate) fn name(&self) -> String {
        format!("load-{}.default", self.number)
    }

    pub(crate) fn has_everything(&self) -> bool {
        self.complete.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn complete_at(&self) -> Duration {
        Duration::from_micros(self.complete.load(Ordering::Relaxed))
    }

    /// Microseconds since the beginning.
    pub(crate) fn newest(&self, kind: Kind) -> u64 {
        self.newest[kind as usize].load(Ordering::Relaxed)
    }

    /// Bytes of all responses.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Talks until the control plane ends it.
    pub(crate) async fn run(self: Arc<Self>, channel: Channel) -> anyhow::Result<()> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let send = |kind: Kind, names: &[String], answered: Option<&DiscoveryResponse>| {
            let (version_info, response_nonce) = answered
                .map(|response| (response.version_info.clone(), response.nonce.clone()))
                .unwrap_or_default();
            let request = DiscoveryRequest {
                node: Some(self.node()),
                type_url: kind.type_url().to_owned(),
                resource_names: names.to_vec(),
                version_info,
                response_nonce,
                ..Default::default()
            };
            requests.send(request).context("the stream is closed")
        };
        send(Kind::Cds, &[], None)?;
        send(Kind::Lds, &[], None)?;
        let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST);
        grpc.ready().await?;
        let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
        let method = http::uri::PathAndQuery::from_static(METHOD);
        let stream = tonic::Request::new(UnboundedReceiverStream::new(receiver));
        let mut responses = grpc.streaming(stream, method, codec).await?.into_inner();
        let mut wanted: [Vec<String>; 4] = Default::default();
        while let Some(response) = responses.message().await? {
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.type_url() == response.type_url) else {
                continue;
            };
            self.note(kind, &response);
            send(kind, &wanted[kind as usize], Some(&response))?;
            let (next, names) = match kind {
                Kind::Cds => (Kind::Eds, endpoints_of(&response.resources)?),
                Kind::Lds => (Kind::Rds, routes_of(&response.resources)?),
                Kind::Eds | Kind::Rds => continue,
            };
            if wanted[next as usize] != names {
                send(next, &names, None)?;
                wanted[next as usize] = names;
            }
        }
        Ok(())
    }

    fn note(&self, kind: Kind, response: &DiscoveryResponse) {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.newest[kind as usize].store(now, Ordering::Relaxed);
        self.received.fetch_add(response.encoded_len() as u64, Ordering::Relaxed);
        if !self.has_everything() && Kind::ALL.into_iter().all(|kind| self.newest(kind) > 0) {
            self.complete.store(now, Ordering::Relaxed);
        }
    }

    fn node(&self) -> Node {
        let (number, namespace) = (self.number, "default");
        let address = format!("10.{}.{}.{}", 100 + number / 65_000, number / 250 % 256, number % 250 + 1);
        let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
        let fields = [
            ("NAMESPACE", text(namespace)),
            ("ISTIO_VERSION", text("1.30.0")),
            ("CLUSTER_ID", text("Kubernetes")),
        ];
        Node {
            id: format!("sidecar~{address}~load-{number}.{namespace}~{namespace}.svc.cluster.local"),
            metadata: Some(Struct {
                fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            }),
            ..Default::default()
        }
    }
}

/// Names under which the clusters' endpoints are asked for.
fn endpoints_of(clusters: &[Any]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for cluster in clusters {
        let cluster = Cluster::decode(cluster.value.as_slice())?;
        let by_discovery = cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds as i32);
        if cluster.cluster_discovery_type == Some(by_discovery) {
            let other =
                cluster.eds_cluster_config.map(|config| config.service_name).filter(|name| !name.is_empty());
            names.push(other.unwrap_or(cluster.name));
        }
    }
    Ok(names)
}

/// Names of the route tables that the listeners refer to.
fn routes_of(listeners: &[Any]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for listener in listeners {
        let listener = Listener::decode(listener.value.as_slice())?;
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        for config in chains.flat_map(|chain| &chain.filters).filter_map(configuration) {
            if !config.type_url.ends_with(".HttpConnectionManager") {
                continue;
            }
            let manager = HttpConnectionManager::decode(config.value.as_slice())?;
            if let Some(RouteSpecifier::Rds(rds)) = manager.route_specifier {
                names.push(rds.route_config_name);
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn configuration(filter: &Filter) -> Option<&Any> {
    match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => Some(config),
        _ => None,
    }
}
