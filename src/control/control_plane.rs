//! The control plane as a whole: built in one place, run as a handful of supervised tasks.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicBool},
};

use arc_swap::ArcSwap;
use axum::Router;
use kube::Client;
use sagene_base::{
    drain,
    logging::LogHandle,
    memory,
    readiness::{Readiness, ReadinessGate},
    task::Supervisor,
};
use sagene_model::Kind;
use sagene_store::{
    Feed, Store,
    kubernetes::{Synced, WatchOptions, watch},
};
use sagene_xds::server::{Connections, DiscoveryService, Limits};
use serde_json::json;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tracing::info;

use crate::{
    debug::{
        http::{Monitor, local, monitoring},
        scopes,
    },
    discovery::{Discovery, push},
    index::{Affected, Index},
    key_sets, mesh_settings,
    metrics::Metrics,
    options::ControlPlaneOptions,
    security::{
        authentication::Authenticator,
        authorities::Authorities,
        authority::{self, LoadError},
        certificate_service::{self, CertificateService},
        secret_access::SecretAccess,
        tls::{ServerTls, TlsError},
    },
    serve::{Server, TlsSource},
    webhook::{Webhooks, router as webhook_router},
    writers::{self, leader::Duty},
};

/// Why the control plane cannot run.
#[derive(Debug, Error)]
pub enum ControlPlaneError {
    /// A port cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// The kernel's words.
        #[source]
        source: io::Error,
    },
    /// No certificate authority.
    #[error("no certificate authority")]
    Authority(#[from] LoadError),
    /// No TLS.
    #[error("no TLS")]
    Tls(#[from] TlsError),
    /// No API server.
    #[error("no Kubernetes API")]
    Kubernetes(#[from] kube::Error),
    /// The mesh configuration cannot be read.
    #[error("mesh configuration: {0}")]
    Mesh(String),
    /// A part ended that must not.
    #[error("{name} ended: {outcome}")]
    Ended {
        /// The part.
        name: String,
        /// How.
        outcome: String,
    },
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
}

/// A control plane with its ports bound, not yet serving.
pub struct ControlPlane {
    options: Arc<ControlPlaneOptions>,
    client: Client,
    discovery: Arc<Discovery>,
    feed: Feed,
    synced: Synced,
    /// Whether the authority is not our own.
    plugged_in: bool,
    tls: Arc<ServerTls>,
    readiness: Readiness,
    gate: ReadinessGate,
    listeners: Listeners,
}

struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
    secure_grpc: TcpListener,
    monitoring: TcpListener,
    webhook: TcpListener,
    scopes: Option<(TcpListener, Arc<LogHandle>)>,
}

/// Addresses that were bound.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Readiness and local debug views.
    pub http: SocketAddr,
    /// Discovery and certificates without TLS.
    pub grpc: SocketAddr,
    /// Discovery and certificates over TLS.
    pub secure_grpc: SocketAddr,
    /// Metrics and debug views.
    pub monitoring: SocketAddr,
    /// Webhooks.
    pub webhook: SocketAddr,
}

impl ControlPlane {
    /// Binds the ports, loads the authority, starts to read the cluster.
    pub async fn build(options: ControlPlaneOptions, client: Client) -> Result<Self, ControlPlaneError> {
        let options = Arc::new(options);
        let listeners = Listeners::bind(&options).await?;
        let store = Store::new();
        let feed = store.subscribe();
        let synced = watch(&client, &store, &watch_options(&options));
        let readiness = Readiness::new();
        let gate = readiness.register("configuration");
        let trust_domain = trust_domain(&client, &options).await?;
        let (succession, plugged_in) = authority::load(&client, &options, &trust_domain).await?;
        let authorities = Arc::new(Authorities::new(succession, options.clone()));
        let tls = Arc::new(ServerTls::new(authorities.clone(), &options, &trust_domain)?);
        let discovery = discovery(&options, &client, store, authorities, trust_domain)?;
        Ok(Self { options, client, discovery, feed, synced, plugged_in, tls, readiness, gate, listeners })
    }

    /// Where it listens.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            http: self.listeners.http.local_addr()?,
            grpc: self.listeners.grpc.local_addr()?,
            secure_grpc: self.listeners.secure_grpc.local_addr()?,
            monitoring: self.listeners.monitoring.local_addr()?,
            webhook: self.listeners.webhook.local_addr()?,
        })
    }

    /// Serves until `stop` resolves, then drains.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ControlPlaneError> {
        let mut supervisor = Supervisor::new();
        let (drain, watch) = drain::channel();
        let grace = self.options.drain;
        self.spawn(&supervisor, watch);
        let end = tokio::select! {
            () = stop => Ok(()),
            exit = supervisor.next_exit() => {
                Err(ControlPlaneError::Ended { name: exit.name, outcome: format!("{:?}", exit.outcome) })
            }
        };
        drain.start(grace);
        drain.drained().await;
        end
    }

    fn spawn(self, supervisor: &Supervisor, drain: drain::DrainWatch) {
        let (discovery, tls, client) = (self.discovery, self.tls, self.client);
        let store = discovery.store.clone();
        let authorities = discovery.authorities.clone();
        let monitor = Arc::new(Monitor { discovery: discovery.clone(), readiness: self.readiness });
        let grpc = grpc_router(&discovery);
        let webhooks = Arc::new(Webhooks {
            store: store.clone(),
            options: self.options.clone(),
            metrics: discovery.metrics.clone(),
        });
        let mesh_tls: TlsSource = {
            let tls = tls.clone();
            Arc::new(move || tls.mesh())
        };
        let webhook_tls: TlsSource = {
            let tls = tls.clone();
            Arc::new(move || tls.webhook())
        };
        let listeners = self.listeners;
        for (name, listener, router, tls) in [
            ("http", listeners.http, local(monitor.clone()), None),
            ("grpc-xds", listeners.grpc, grpc.clone(), None),
            ("tls-xds", listeners.secure_grpc, grpc, Some(mesh_tls)),
            ("http-monitoring", listeners.monitoring, monitoring(monitor), None),
            ("https-webhooks", listeners.webhook, webhook_router(webhooks), Some(webhook_tls)),
        ] {
            let server = Server { name, listener, router, tls, drain: drain.clone() };
            supervisor.spawn(name, server.run());
        }
        if let Some((listener, log)) = listeners.scopes {
            let router = scopes::router(log);
            let server = Server { name: "controlz", listener, router, tls: None, drain: drain.clone() };
            supervisor.spawn("controlz", server.run());
        }
        supervisor.spawn("serving certificate", endless(tls.renew()));
        let issuers = key_sets::refresh::run(key_refresh(&discovery), store.subscribe());
        supervisor.spawn("keys of token issuers", endless(issuers));
        let following = authorities.follow(store, self.synced.clone(), self.plugged_in);
        supervisor.spawn("certificate authorities", endless(following));
        supervisor.spawn("trust bundles", endless(push::trust_bundles(discovery.clone())));
        supervisor.spawn("access to secrets", endless(push::granted_secrets(discovery.clone())));
        spawn_writers(supervisor, &client, &self.options, &discovery, self.synced.clone(), drain);
        supervisor.spawn("memory at rest", endless(memory::give_back_at_rest()));
        let pusher = first_push(discovery, self.synced, self.feed, self.gate);
        supervisor.spawn("push", endless(pusher));
    }
}

/// Keys of token issuers go to the proxies of the rules that ask for them.
fn key_refresh(discovery: &Arc<Discovery>) -> key_sets::refresh::Refresh<impl Fn(&BTreeSet<String>) + use<>> {
    let told = discovery.clone();
    key_sets::refresh::Refresh {
        store: discovery.store.clone(),
        keys: discovery.keys.clone(),
        metrics: discovery.metrics.clone(),
        interval: discovery.options.jwks_refresh,
        closed: discovery.options.jwks_closed_networks.clone(),
        changed: move |namespaces: &BTreeSet<String>| {
            let root = told.index.load().settings.mesh.root_namespace.clone();
            push::wake(&told, &Affected::listeners_in(namespaces, &root));
        },
    }
}

/// What only the elected replica writes.
fn spawn_writers(
    supervisor: &Supervisor,
    client: &Client,
    options: &Arc<ControlPlaneOptions>,
    discovery: &Arc<Discovery>,
    synced: Synced,
    drain: drain::DrainWatch,
) {
    let (store, authorities) = (&discovery.store, &discovery.authorities);
    let elect = |duty| writers::leader::election(client.clone(), options, duty, drain.clone());
    let (leadership, election) = elect(Duty::Namespaces);
    supervisor.spawn("election for namespaces", endless(election));
    let roots =
        writers::root_certificates::keep(client.clone(), store.clone(), authorities.clone(), leadership);
    supervisor.spawn("root certificates", endless(roots));
    if let Some(ranges) = options.address_allocation {
        let (leadership, election) = elect(Duty::Addresses);
        supervisor.spawn("election for addresses", endless(election));
        let addresses =
            writers::addresses::allocate(client.clone(), store.clone(), ranges, synced, leadership);
        supervisor.spawn("addresses of ServiceEntries", endless(addresses));
    }
    let (leadership, election) = elect(Duty::Revision);
    supervisor.spawn("election", endless(election));
    let bundles = writers::webhook_bundles::keep(
        client.clone(),
        options.clone(),
        authorities.clone(),
        store.clone(),
        leadership.clone(),
    );
    supervisor.spawn("webhook configurations", endless(bundles));
    let (refused, refused_parameters) = tokio::sync::watch::channel(writers::gateways::Refused::new());
    let statuses = writers::statuses::write(
        client.clone(),
        discovery.clone(),
        discovery.store.subscribe(),
        leadership.clone(),
        refused_parameters,
    );
    supervisor.spawn("statuses", endless(statuses));
    let classes = writers::gateway_classes::make(client.clone(), leadership.clone());
    supervisor.spawn("gateway classes", endless(classes));
    let gateways = writers::gateways::deploy(
        client.clone(),
        discovery.clone(),
        discovery.store.subscribe(),
        leadership,
        refused,
    );
    supervisor.spawn("gateways", endless(gateways));
}

/// Waits for the first complete state, then pushes every change.
async fn first_push(discovery: Arc<Discovery>, mut synced: Synced, mut feed: Feed, gate: ReadinessGate) {
    synced.wait().await;
    // Everything so far is in the first index.
    feed.take();
    push::begin(&discovery);
    info!("configuration read, serving");
    gate.ready();
    push::run(discovery, feed).await;
}

async fn endless(task: impl Future<Output = ()>) -> io::Result<()> {
    task.await;
    Ok(())
}

fn grpc_router(discovery: &Arc<Discovery>) -> Router {
    let service = DiscoveryService::new(discovery.clone(), discovery.connections.clone(), Limits::default());
    let certificates = CertificateService {
        authorities: discovery.authorities.clone(),
        authenticator: discovery.authenticator.clone(),
        metrics: discovery.metrics.clone(),
    };
    let under = |prefix: &str| format!("{prefix}{{method}}");
    Router::new()
        .route_service(&under(DiscoveryService::<Discovery>::PREFIX), service)
        .route_service(&under(certificate_service::PREFIX), certificates)
}

pub(crate) fn discovery(
    options: &Arc<ControlPlaneOptions>,
    client: &Client,
    store: Store,
    authorities: Arc<Authorities>,
    trust_domain: String,
) -> Result<Arc<Discovery>, ControlPlaneError> {
    let snapshot = store.snapshot();
    let mesh = mesh_settings::mesh_config(&Default::default(), options)
        .map_err(|error| ControlPlaneError::Mesh(sagene_base::task::error_chain(&error)))?;
    let settings = Arc::new(mesh_settings::settings(&mesh, options));
    let identifier = json!({
        "Component": "istiod",
        "ID": options.pod_name,
        "Info": {"version": options.version, "revision": options.revision, "golang_version": "",
                 "status": "Clean", "tag": options.version},
    });
    let authenticator = Authenticator::new(client.clone(), trust_domain, options.token_audiences.clone());
    Ok(Arc::new(Discovery {
        options: options.clone(),
        index: ArcSwap::from_pointee(Index::build(Arc::unwrap_or_clone(snapshot), settings)),
        indexed: tokio::sync::watch::Sender::new(()),
        refusals: tokio::sync::watch::Sender::new(()),
        keys: Arc::default(),
        store,
        mesh_config: ArcSwap::from_pointee(mesh),
        discovered: ArcSwap::default(),
        connections: Connections::default(),
        authenticator: Arc::new(authenticator),
        secret_access: SecretAccess::default(),
        authorities,
        metrics: Arc::new(Metrics::new(&options.version)),
        identifier: identifier.to_string(),
        synced: AtomicBool::new(false),
        last_push: ArcSwap::from_pointee(None),
    }))
}

/// The trust domain must be known before the first certificate, so the mesh configuration is read once directly.
async fn trust_domain(client: &Client, options: &ControlPlaneOptions) -> Result<String, ControlPlaneError> {
    use k8s_openapi::api::core::v1::ConfigMap;
    let api: kube::Api<ConfigMap> = kube::Api::namespaced(client.clone(), &options.namespace);
    let name = format!("istio{}", options.revision_suffix());
    let text = api.get_opt(&name).await?.and_then(|map| map.data).and_then(|mut data| data.remove("mesh"));
    let mesh: serde_json::Value =
        sagene_api::yaml::value(text.as_deref().unwrap_or("{}")).map_err(|error| {
            ControlPlaneError::Mesh(format!("ConfigMap {}/{name}, key mesh: {error}", options.namespace))
        })?;
    let stated = mesh.get("trustDomain").and_then(serde_json::Value::as_str).filter(|td| !td.is_empty());
    Ok(stated.unwrap_or(&options.domain).to_owned())
}

fn watch_options(options: &ControlPlaneOptions) -> WatchOptions {
    let unread = [Kind::Deployment, Kind::ServiceAccount];
    WatchOptions {
        kinds: Kind::ALL.iter().copied().filter(|kind| !unread.contains(kind)).collect(),
        only_in: vec![(Kind::ConfigMap, options.namespace.clone())],
    }
}

impl Listeners {
    async fn bind(options: &ControlPlaneOptions) -> Result<Self, ControlPlaneError> {
        let bind = |port: u16| {
            let address = SocketAddr::new(options.address, port);
            listen(address).map_err(|source| ControlPlaneError::Listen { address, source })
        };
        let ports = options.ports;
        Ok(Self {
            http: bind(ports.http)?,
            grpc: bind(ports.grpc)?,
            secure_grpc: bind(ports.secure_grpc)?,
            monitoring: bind(ports.monitoring)?,
            webhook: bind(ports.webhook)?,
            scopes: bind_scopes(options).await,
        })
    }
}

/// Connections that may wait to be accepted; the kernel has its own limit (`net.core.somaxconn`). All sidecars of a mesh connect at once
/// when their control plane comes back.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A port that serves nobody but who debugs: without it everything else still works.
async fn bind_scopes(options: &ControlPlaneOptions) -> Option<(TcpListener, Arc<LogHandle>)> {
    let wanted = options.scopes.as_ref()?;
    match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted.port)).await {
        Ok(listener) => Some((listener, wanted.log.clone())),
        Err(error) => {
            tracing::warn!(port = wanted.port, %error, "no ControlZ: the port cannot be had");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn many_sidecars_may_connect_before_the_first_is_accepted() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let patience = Duration::from_secs(60);
        let waiting: Vec<_> =
            (0..300).map_while(|_| TcpStream::connect_timeout(&address, patience).ok()).collect();
        assert_eq!(waiting.len(), 300);
    }
}
