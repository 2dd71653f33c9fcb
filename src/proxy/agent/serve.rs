//! Puts the parts of a pod's proxy together and runs them until the end.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sagene_base::logging::LogHandle;
use sagene_base::memory;
use sagene_base::readiness::Readiness;
use sagene_base::task::spawn;

use super::bootstrap::{PROMETHEUS_PORT, READINESS_PORT, bootstrap};
use super::certificates::{Authority, CATCH_UP, Certificates, MountedFiles, Source};
use super::control_plane::ControlPlane;
use super::discovery::{Discovery, DiscoveryState};
use super::environment::Environment;
use super::file_secrets::FileSecrets;
use super::health::{Health, ReadyServer};
use super::http_server::serve;
use super::lifecycle::{Lifecycle, Orders};
use super::node::Identity;
use super::ports::{on_every_address, on_loopback};
use super::prometheus::PrometheusServer;
use super::proxy_config::{ProxyConfig, parse_duration};
use super::saved_state::SavedState;
use super::status::{AgentMetrics, Probes, ScrapeTarget, StatusServer};
use super::termination::Termination;
use super::{AgentArguments, AgentError, NodeType};
use crate::admin::AdminServer;
use crate::capture::PROXY_MARK;
use crate::config::ConfigStore;
use crate::dns::{DnsOptions, DnsServer, DnsStatistics, NameTable, ResolvConf};
use crate::worker::{Proxy, ProxyOptions};

/// Port of the name server.
const DNS_PORT: u16 = 15053;

/// Everything that is known before anything runs.
pub(super) struct Settings {
    node_type: NodeType,
    identity: Identity,
    config: ProxyConfig,
    environment: Environment,
    resolv_conf: ResolvConf,
    concurrency: usize,
    log: Option<Arc<LogHandle>>,
}

impl Settings {
    /// From flags, variables and files.
    pub(super) fn resolve(
        node_type: NodeType,
        arguments: &AgentArguments,
        mut environment: Environment,
        log: Option<Arc<LogHandle>>,
    ) -> Result<Self, AgentError> {
        let annotations = environment.pod_annotations();
        let annotation = annotations.get("proxy.istio.io/config").map(String::as_str).unwrap_or_default();
        let config =
            ProxyConfig::resolve(&arguments.mesh_config, environment.text("PROXY_CONFIG"), annotation)?;
        environment
            .add_defaults(config.proxy_metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let identity = Identity::resolve(node_type, arguments, &environment, &config)?;
        let resolv_conf = std::fs::read_to_string(environment.path("/etc/resolv.conf")).unwrap_or_default();
        Ok(Self {
            concurrency: concurrency(arguments, &config, &environment),
            resolv_conf: ResolvConf::parse(&resolv_conf),
            node_type,
            identity,
            config,
            environment,
            log,
        })
    }

    fn control_plane(&self, address: &str, tls: bool, more_roots: &TrustBundle) -> ControlPlane {
        let root = match self.environment.get("PILOT_CERT_PROVIDER") {
            Some("kubernetes") => "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            Some("custom") => "/etc/certs/root-cert.pem",
            _ => "/var/run/secrets/istio/root-cert.pem",
        };
        ControlPlane {
            address: address.to_owned(),
            root: tls.then(|| self.environment.path(root)),
            more_roots: more_roots.clone(),
            token: self.environment.path("/var/run/secrets/tokens/istio-token"),
            resolv_conf: self.resolv_conf.clone(),
        }
    }

    /// Where state is kept: `configPath`, which is relative to the root.
    fn state_folder(&self) -> PathBuf {
        self.environment.path(self.config.config_path.trim_start_matches("./"))
    }

    fn captures_dns(&self) -> bool {
        self.environment.flag("ISTIO_META_DNS_CAPTURE")
    }
}

/// Traffic threads: the flag, the configuration, the container's CPU limit, else one per core (0).
fn concurrency(arguments: &AgentArguments, config: &ProxyConfig, environment: &Environment) -> usize {
    let limit = || environment.get("ISTIO_CPU_LIMIT").and_then(|limit| limit.parse().ok());
    arguments.concurrency.or(config.concurrency).or_else(limit).unwrap_or(0)
}

/// The mark for the proxy's sockets when capture rules cannot know it by its user id.
pub(super) fn socket_mark() -> Option<u32> {
    if nix::unistd::geteuid().as_raw() == PROXY_MARK {
        return None;
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    match socket.set_mark(PROXY_MARK) {
        Ok(()) => Some(PROXY_MARK),
        Err(error) => {
            tracing::warn!(%error, "not running as user {PROXY_MARK} and not allowed to mark sockets: if this pod's traffic is captured, the proxy's own is, too");
            None
        }
    }
}

/// Runs until told to end.
pub(super) async fn run(settings: Settings) -> Result<(), AgentError> {
    let started = SystemTime::now();
    let store = ConfigStore::new();
    let readiness = Readiness::new();
    let (configured, certified) = (readiness.register("configuration"), readiness.register("certificate"));
    let health = Health::new(readiness.clone());
    let (lifecycle, orders) = Lifecycle::new();
    let dns_statistics = Arc::new(DnsStatistics::default());
    let metrics = Arc::new(AgentMetrics::new(Arc::clone(&dns_statistics)));
    let names = Arc::new(ArcSwap::from_pointee(NameTable::new(
        &settings.identity.namespace,
        &settings.identity.domain,
    )));
    let saved = SavedState::new(settings.state_folder());
    let discovery_state = DiscoveryState::new(Arc::clone(&store), Arc::clone(&names));

    let parts = Parts {
        started,
        health: health.clone(),
        lifecycle,
        metrics: Arc::clone(&metrics),
        names: Arc::clone(&names),
    };
    let trust_bundle = discovery_state.trust_bundle();
    let mut certificates = Certificates {
        source: certificate_source(&settings, &trust_bundle),
        store: Arc::clone(&store),
        saved: saved.clone(),
        metrics: Arc::clone(&metrics),
        trust_bundle: trust_bundle.clone(),
        catch_up: CATCH_UP,
        current: None,
        version: 0,
    };
    certificates.restore();
    let files = FileSecrets::new(Arc::clone(&store), settings.environment.clone());
    let mut discovery = Discovery {
        control_plane: discovery_server(&settings, &trust_bundle),
        node: settings.identity.node.clone(),
        cluster_id: settings.identity.cluster_id.clone(),
        state: discovery_state,
        store: Arc::clone(&store),
        saved,
        metrics: Arc::clone(&metrics),
        with_names: settings.captures_dns(),
    };
    discovery.restore();

    let proxy = Arc::new(Proxy::start(
        ProxyOptions {
            workers: settings.concurrency,
            socket_mark: socket_mark(),
            node: settings.identity.node.clone(),
        },
        store,
    )?);
    parts.serve_ports(&settings, &proxy)?;
    if settings.captures_dns() {
        serve_dns(&settings, names, dns_statistics).await?;
    }
    spawn("certificates", certificates.run(certified));
    spawn("files of TLS settings", files.run());
    spawn("discovery", discovery.run(configured));
    spawn("readiness", async move {
        readiness.ready().await;
        tracing::info!(after = ?metrics.ready(), "ready");
        memory::give_back_at_rest().await;
    });
    end(&settings, orders, &health, &proxy).await
}

async fn end(settings: &Settings, orders: Orders, health: &Health, proxy: &Proxy) -> Result<(), AgentError> {
    let termination = Termination::new(&settings.environment, &settings.config, settings.node_type);
    termination.run(orders, health, proxy).await.map_err(AgentError::Signals)
}

/// Roots that discovery told of.
type TrustBundle = tokio::sync::watch::Receiver<Vec<String>>;

fn discovery_server(settings: &Settings, more_roots: &TrustBundle) -> ControlPlane {
    let policy = settings.config.all.get("controlPlaneAuthPolicy").and_then(|policy| policy.as_str());
    settings.control_plane(&settings.config.discovery_address, policy != Some("NONE"), more_roots)
}

/// Mounted files, or the authority at CA_ADDR, which is where discovery is when not said.
fn certificate_source(settings: &Settings, more_roots: &TrustBundle) -> Box<dyn Source> {
    let environment = &settings.environment;
    if let Some(files) = MountedFiles::find(environment) {
        return Box::new(files);
    }
    let address = environment.get("CA_ADDR").unwrap_or(&settings.config.discovery_address);
    let identity = &settings.identity;
    Box::new(Authority {
        // Port 15010 is the control plane's plaintext port.
        server: settings.control_plane(address, !address.ends_with(":15010"), more_roots),
        spiffe_id: format!(
            "spiffe://{}/ns/{}/sa/{}",
            identity.trust_domain, identity.namespace, identity.service_account
        ),
        cluster_id: identity.cluster_id.clone(),
        lifetime: environment.get("SECRET_TTL").and_then(parse_duration),
    })
}

async fn serve_dns(
    settings: &Settings,
    names: Arc<ArcSwap<NameTable>>,
    statistics: Arc<DnsStatistics>,
) -> Result<(), AgentError> {
    let options = DnsOptions { port: DNS_PORT, resolv_conf: settings.resolv_conf.clone() };
    let server = DnsServer::bind(&options, names, statistics).await?;
    spawn("DNS server", server.run());
    Ok(())
}

/// What several ports share.
struct Parts {
    started: SystemTime,
    health: Health,
    lifecycle: Lifecycle,
    metrics: Arc<AgentMetrics>,
    names: Arc<ArcSwap<NameTable>>,
}

impl Parts {
    /// Opens admin, status, readiness and statistics ports.
    fn serve_ports(&self, settings: &Settings, proxy: &Arc<Proxy>) -> Result<(), AgentError> {
        let admin = AdminServer {
            proxy: Arc::clone(proxy),
            bootstrap: bootstrap(&settings.identity.node, &settings.config),
            started: self.started,
            health: self.health.clone(),
            lifecycle: self.lifecycle.clone(),
            metrics: Arc::clone(&self.metrics),
            log: settings.log.clone(),
            concurrency: settings.concurrency,
        };
        let listener = on_loopback(settings.config.proxy_admin_port, "admin")?;
        spawn("admin server", serve(listener, Arc::new(admin)));

        let listener = on_every_address(settings.config.status_port, "probes and metrics")?;
        spawn("status server", serve(listener, Arc::new(self.status_server(settings, proxy)?)));

        let listener = on_every_address(READINESS_PORT, "readiness")?;
        spawn("readiness server", serve(listener, Arc::new(ReadyServer(self.health.clone()))));

        let listener = on_every_address(PROMETHEUS_PORT, "statistics")?;
        spawn("statistics server", serve(listener, Arc::new(PrometheusServer(Arc::clone(proxy.stats())))));
        Ok(())
    }

    fn status_server(&self, settings: &Settings, proxy: &Proxy) -> Result<StatusServer, AgentError> {
        let environment = &settings.environment;
        let destination = if environment.flag("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION") {
            Ipv4Addr::LOCALHOST.into()
        } else {
            settings.identity.address
        };
        let scrape = match ScrapeTarget::parse(environment.text("ISTIO_PROMETHEUS_ANNOTATIONS")) {
            Ok(scrape) => scrape,
            Err(error) => {
                tracing::warn!(%error, "the application's metrics are not merged");
                None
            }
        };
        Ok(StatusServer {
            health: self.health.clone(),
            lifecycle: self.lifecycle.clone(),
            probes: Probes::parse(environment.text("ISTIO_KUBE_APP_PROBERS"), destination)?,
            stats: Arc::clone(proxy.stats()),
            metrics: Arc::clone(&self.metrics),
            scrape,
            names: Arc::clone(&self.names),
        })
    }
}

/// Runs the proxy of a static bootstrap until told to end.
pub(super) async fn run_static(
    bootstrap: envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap,
    concurrency: usize,
    log: Option<Arc<LogHandle>>,
) -> Result<(), AgentError> {
    let options = ProxyOptions {
        workers: concurrency,
        socket_mark: socket_mark(),
        node: bootstrap.node.clone().unwrap_or_default(),
    };
    let proxy = Arc::new(Proxy::run_static(options, &bootstrap)?);
    let readiness = Readiness::new();
    readiness.register("configuration").ready();
    let health = Health::new(readiness);
    let (lifecycle, orders) = Lifecycle::new();
    let metrics = Arc::new(AgentMetrics::new(Arc::default()));
    if let Some(address) = super::bootstrap::admin_address(&bootstrap) {
        let listener = super::ports::at(address, "admin")?;
        let admin = AdminServer {
            proxy: Arc::clone(&proxy),
            bootstrap,
            started: SystemTime::now(),
            health: health.clone(),
            lifecycle,
            metrics: Arc::clone(&metrics),
            log,
            concurrency,
        };
        spawn("admin server", serve(listener, Arc::new(admin)));
    }
    metrics.ready();
    spawn("memory at rest", memory::give_back_at_rest());
    let termination = Termination::after(super::STATIC_DRAIN);
    termination.run(orders, &health, &proxy).await.map_err(AgentError::Signals)
}
