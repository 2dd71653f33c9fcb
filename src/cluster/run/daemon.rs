//! The services of the node process: API server, controllers, node agent, cluster DNS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::node_process::NodeProcess;
use crate::apiserver::{ApiServer, ApiServerConfig, RunningApiServer};
use crate::controllers;
use crate::dns::{ClusterNames, DnsServer};
use crate::launcher::{CONTEXT, ClusterRecord, LauncherError, StartReport, daemon_log, write_kubeconfig};
use crate::network::{
    DNS_ADDRESS, EgressRelay, HostAddress, KUBERNETES_ADDRESS, NODE_ADDRESS, NODE_API_PORT, NodeNetwork,
    ServiceProxy,
};
use crate::node::{NodeAgent, NodeAgentConfig};
use crate::pod_runtime::PodRuntimeHandle;

/// For pods to end and state to reach the disk; a full disk must not keep the cluster from stopping.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);

/// Runs until the process is told to stop.
pub(super) fn run(process: NodeProcess) -> Result<(), RunError> {
    sagene_base::threads::available().map_err(RunError::system("start a thread"))?;
    // Every thread of it is born in the node's network namespace.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("node")
        .build()
        .map_err(RunError::system("start the runtime"))?;
    let result = runtime.block_on(serve(&process));
    // Nothing is waited for: the kernel ends what is left with this process.
    runtime.shutdown_background();
    result
}

async fn serve(process: &NodeProcess) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::system("listen for signals"))?;
    sagene_base::crypto::install();
    let api_listener = listen_outside(process)?;
    let api_address = api_listener.local_addr().map_err(RunError::system("read the API server's address"))?;
    let services = Arc::new(ServiceProxy::create(process.machine_has_ipv6).await?);
    let host_address = HostAddress::claim(&process.host_network);
    let network = Arc::new(NodeNetwork::create(services.is_dual_stack(), host_address).await?);
    let egress = EgressRelay::bind(process.host_network.clone(), &network).await?;
    for address in egress.addresses() {
        services.redirect_egress(address).await?;
    }
    sagene_base::task::spawn("egress", egress.run());
    let pod_runtime = PodRuntimeHandle::default();
    let server =
        start_api_server(process, api_listener, network.is_dual_stack(), pod_runtime.clone()).await?;
    let agent = start_agent(process, &server, network, services).await?;
    let controllers_stop = CancellationToken::new();
    let controllers = controllers::run(
        server.client.clone(),
        server.admin.ca_certificate.clone(),
        process.directory.volumes(),
        controllers_stop.clone(),
    );
    sagene_base::task::spawn("controllers", controllers);
    pod_runtime.bind(Arc::new(agent.clone()));
    sagene_base::task::spawn("log", daemon_log::keep_small(process.directory.clone()));
    sagene_base::task::spawn("memory at rest", sagene_base::memory::give_back_at_rest());
    publish(process, &server, api_address)?;
    tracing::info!(%api_address, state = %process.directory.path().display(), "the cluster runs");
    terminate.recv().await;
    tracing::info!("stopping");
    // First, so that nothing is started in place of what is stopped.
    controllers_stop.cancel();
    let orderly = async {
        agent.shut_down().await;
        server.shutdown().await;
    };
    if tokio::time::timeout(SHUTDOWN_LIMIT, orderly).await.is_err() {
        tracing::warn!("stopped without waiting any longer for pods or the disk");
    }
    Ok(())
}

/// The API server's port on the machine's loopback: the wanted one, the one it had, or any.
fn listen_outside(process: &NodeProcess) -> Result<TcpListener, RunError> {
    let listen = |port: u16| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        process.host_network.listen(address).map_err(|source| RunError::Listen { address, source })
    };
    if let Some(port) = process.options.api_port {
        return listen(port);
    }
    let before = ClusterRecord::read(&process.directory.record()).map(|record| record.api_address.port());
    let before = before.or_else(|| crate::launcher::kubeconfig_port(&process.directory));
    before.and_then(|port| listen(port).ok()).map_or_else(|| listen(0), Ok)
}

async fn start_api_server(
    process: &NodeProcess,
    outside: TcpListener,
    dual_stack: bool,
    pod_runtime: PodRuntimeHandle,
) -> Result<RunningApiServer, RunError> {
    let inside = |address: SocketAddr| {
        let listener =
            TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        listener.map_err(|source| RunError::Listen { address, source })
    };
    let advertise = SocketAddr::from((NODE_ADDRESS, NODE_API_PORT));
    let listeners = vec![outside, inside(advertise)?, inside(SocketAddr::from((KUBERNETES_ADDRESS, 443)))?];
    let config = ApiServerConfig {
        state_dir: process.directory.api_server(),
        listeners,
        node_ip: Some(NODE_ADDRESS.into()),
        advertise,
        dual_stack,
        pod_runtime,
    };
    ApiServer::start(config).await.map_err(|error| RunError::ApiServer(Box::new(error)))
}

async fn start_agent(
    process: &NodeProcess,
    server: &RunningApiServer,
    network: Arc<NodeNetwork>,
    services: Arc<ServiceProxy>,
) -> Result<NodeAgent, RunError> {
    let host = process.host_network.clone();
    let (names, known) = tokio::sync::watch::channel(ClusterNames::default());
    let address = SocketAddr::from((DNS_ADDRESS, 53));
    let dns = DnsServer::bind(address, known, host.clone())
        .await
        .map_err(RunError::system("serve the cluster's DNS"))?;
    sagene_base::task::spawn("dns", dns.run());
    let config = NodeAgentConfig {
        api: server.client.clone(),
        network,
        services,
        host,
        names,
        directory: process.directory.clone(),
        rootless: process.options.rootless,
    };
    NodeAgent::start(config).await.map_err(RunError::system("start the node agent"))
}

/// Tells the outside where the cluster is.
fn publish(
    process: &NodeProcess,
    server: &RunningApiServer,
    api_address: SocketAddr,
) -> Result<(), RunError> {
    let write = |action: &'static str, path: std::path::PathBuf, result: std::io::Result<()>| {
        result.map_err(|source| RunError::State(LauncherError::File { action, path, source }))
    };
    let path = process.directory.kubeconfig();
    write("write", path.clone(), write_kubeconfig(&path, api_address, &server.admin))?;
    let record = ClusterRecord {
        process_id: process.options.process_id,
        process_start_time: process.options.process_start_time,
        api_address,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    write("write", process.directory.record(), record.write(&process.directory.record()))?;
    process.reporting.print(&StartReport::Ready);
    if !process.options.launcher_waits {
        let kubeconfig = path.display();
        super::say(&format!(
            "The cluster runs: kubectl --kubeconfig {kubeconfig} --context {CONTEXT} get nodes"
        ));
    }
    Ok(())
}
