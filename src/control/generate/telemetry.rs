//! What the proxies of a workload report: Telemetry of the mesh, of their namespace and of themselves, each over the wider one, on top
//! of the mesh configuration.

mod attributes;
mod log_service;
mod logging;
mod metrics;
mod tracing;

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::mesh_config::ExtensionProvider;
use sagene_api::istio::telemetry::{self, ProviderRef, TelemetryMode};
use sagene_model::gateway_api::is_targeted;
use sagene_model::labels::{Labels, has_all};

use super::proto::http::wasm;
use super::proto::network::http_connection_manager::v3::http_connection_manager::Tracing;
use super::proto::{accesslog, core};
use super::{Settings, extension};
use crate::index::Index;

/// Which end of a connection a proxy stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Behind the client; gateways too.
    Client,
    /// In front of the server.
    Server,
}

/// The objects that hold for a workload, the widest first. Compared by address: an object that changed is another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Telemetry {
    levels: Vec<Arc<Object<telemetry::Telemetry>>>,
    /// Those that make attributes for metrics.
    plugins: Vec<Arc<Object<WasmPlugin>>>,
}

impl PartialEq for Telemetry {
    fn eq(&self, other: &Self) -> bool {
        same(&self.levels, &other.levels) && same(&self.plugins, &other.plugins)
    }
}

impl Eq for Telemetry {}

fn same<T>(left: &[Arc<T>], right: &[Arc<T>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
}

impl Telemetry {
    /// What holds for a workload of this namespace with these labels: one object of the root namespace, one of the namespace, one
    /// that names its Gateway or selects it; of several the oldest.
    pub(crate) fn of(index: &Index, namespace: &str, labels: &Labels) -> Self {
        let root = index.settings.mesh.root_namespace.as_str();
        let oldest = |place: &str, wanted: &dyn Fn(&telemetry::Telemetry) -> bool| {
            let found = index.snapshot.telemetries.in_namespace(place).filter(|object| {
                let targeted = object.spec.target_ref.is_some() || !object.spec.target_refs.is_empty();
                !targeted && wanted(&object.spec)
            });
            found
                .min_by_key(|object| (object.metadata.creation_timestamp, object.metadata.name.clone()))
                .cloned()
        };
        let selector = |spec: &telemetry::Telemetry| {
            spec.selector
                .as_ref()
                .map(|selector| selector.match_labels.clone())
                .filter(|labels| !labels.is_empty())
        };
        let for_all = |spec: &telemetry::Telemetry| selector(spec).is_none();
        let mesh = (&index.snapshot, &index.settings.mesh);
        let targeted = |place: &str| {
            let found = index.snapshot.telemetries.in_namespace(place).filter(|object| {
                let targets = object.spec.target_ref.iter().chain(&object.spec.target_refs);
                is_targeted(targets, place, mesh, namespace, labels)
            });
            found
                .min_by_key(|object| (object.metadata.creation_timestamp, object.metadata.name.clone()))
                .cloned()
        };
        let of_mesh = oldest(root, &for_all);
        let of_namespace = (namespace != root).then(|| oldest(namespace, &for_all)).flatten();
        let own = targeted(namespace).or_else(|| {
            oldest(namespace, &|spec| selector(spec).is_some_and(|wanted| has_all(labels, &wanted)))
        });
        Self {
            levels: [of_mesh, of_namespace, own].into_iter().flatten().collect(),
            plugins: attributes::plugins(index, namespace, labels),
        }
    }
}

/// What is a proxy's own about traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OwnTraces {
    /// Its name in them; empty where no collector asks for one.
    pub(crate) name: String,
    /// `tracing` of its own ProxyConfig, as JSON; empty for none.
    pub(crate) settings: String,
}

/// What one side reports, worked out once.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    pub(crate) access_log: Vec<accesslog::AccessLog>,
    pub(crate) tracing: Option<Tracing>,
    metrics: Option<extension::StatsPlugin>,
    /// What makes attributes for the metrics, by the names of their plugins.
    pub(crate) attributes: Vec<(String, wasm::v3::Wasm)>,
}

impl Reports {
    /// What a workload reports of one side.
    pub(crate) fn of(telemetry: &Telemetry, index: &Index, traces: &OwnTraces, side: Side) -> Self {
        Self {
            access_log: logging::access_log(&telemetry.levels, index, side),
            tracing: tracing::tracing(&telemetry.levels, index, traces, side),
            metrics: metrics::plugin(&telemetry.levels, &index.settings, side),
            attributes: telemetry
                .plugins
                .iter()
                .filter_map(|plugin| {
                    let name = format!("{}.{}", plugin.metadata.namespace, plugin.metadata.name);
                    Some((name, attributes::filter(plugin, side)?))
                })
                .collect(),
        }
    }

    /// The settings of the standard metrics; `None` where none are wanted.
    pub(crate) fn metrics(&self, disable_host_header_fallback: bool) -> Option<extension::StatsPlugin> {
        let own = self.metrics.clone()?;
        Some(extension::StatsPlugin { disable_host_header_fallback, ..own })
    }
}

impl Side {
    fn is_meant(self, mode: TelemetryMode) -> bool {
        match mode {
            TelemetryMode::ClientAndServer => true,
            TelemetryMode::Client => self == Self::Client,
            TelemetryMode::Server => self == Self::Server,
        }
    }
}

fn names(providers: &[ProviderRef]) -> Vec<String> {
    providers.iter().map(|provider| provider.name.clone()).collect()
}

/// Whether spans go to a collector that is told the name of each proxy by its configuration.
pub(crate) fn names_in_traces(index: &Index) -> bool {
    let defaults = index.settings.default_providers.iter().flat_map(|defaults| defaults.tracing.clone());
    let entries = index.snapshot.telemetries.iter().flat_map(|object| &object.spec.tracing);
    let declared = entries.flat_map(|entry| names(&entry.providers));
    defaults
        .chain(declared)
        .any(|name| provider(&index.settings, &name).is_some_and(|provider| provider.opentelemetry.is_some()))
}

pub(super) fn provider<'s>(settings: &'s Settings, name: &str) -> Option<&'s ExtensionProvider> {
    settings.extension_providers.iter().find(|provider| provider.name == name)
}

/// The cluster of a provider's service, `[namespace/]host`; short names are those of Kubernetes.
pub(super) fn cluster(index: &Index, service: &str, port: u32) -> (String, String) {
    let host = service.rsplit('/').next().unwrap_or(service);
    let domain = &index.settings.mesh.domain;
    let candidates = [host.to_owned(), format!("{host}.{domain}"), format!("{host}.svc.{domain}")];
    let known = candidates.iter().find(|candidate| {
        index.services.iter().any(|state| state.service.hostname.as_str() == candidate.as_str())
    });
    let host = known.unwrap_or(&candidates[0]).clone();
    (format!("outbound|{port}||{host}"), host)
}

/// Headers that a provider sends, those from the environment left to the proxy's operators.
fn headers(
    declared: &[sagene_api::istio::mesh_config::extension_provider::ProviderHeader],
) -> Vec<core::HeaderValueOption> {
    let of = |header: &sagene_api::istio::mesh_config::extension_provider::ProviderHeader| {
        let value = match (&header.value, &header.env_name) {
            (Some(value), _) => value.clone(),
            (None, Some(name)) => format!("%ENVIRONMENT({name})%"),
            (None, None) => return None,
        };
        Some(core::HeaderValueOption {
            header: Some(core::HeaderValue {
                key: header.name.clone(),
                value,
                ..core::HeaderValue::default()
            }),
            ..core::HeaderValueOption::default()
        })
    };
    declared.iter().filter_map(of).collect()
}
