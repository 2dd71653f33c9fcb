//! The API server from outside: a real kube client over TLS, a real webhook, a node agent stood in for.

mod kubectl;
mod objects;
mod pods;
mod webhooks;

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::api_client::ResourceRef;

/// A server on a free loopback port with its own state.
pub(super) struct TestServer {
    pub(super) running: RunningApiServer,
    pub(super) pod_runtime: PodRuntimeHandle,
    address: std::net::SocketAddr,
    pub(super) state: TempDir,
}

pub(super) async fn start_in(folder: &Path) -> (RunningApiServer, PodRuntimeHandle, std::net::SocketAddr) {
    start_with(folder, false).await
}

async fn start_with(
    folder: &Path,
    dual_stack: bool,
) -> (RunningApiServer, PodRuntimeHandle, std::net::SocketAddr) {
    sagene_base::crypto::install();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pod_runtime = PodRuntimeHandle::default();
    let config = ApiServerConfig {
        state_dir: folder.to_owned(),
        listeners: vec![listener],
        node_ip: None,
        advertise: address,
        dual_stack,
        pod_runtime: pod_runtime.clone(),
    };
    (ApiServer::start(config).await.unwrap(), pod_runtime, address)
}

impl TestServer {
    pub(super) async fn start() -> Self {
        let state = TempDir::new().unwrap();
        let (running, pod_runtime, address) = start_in(state.path()).await;
        Self { running, pod_runtime, address, state }
    }

    /// One whose Services may have addresses of both families.
    pub(super) async fn start_dual_stack() -> Self {
        let state = TempDir::new().unwrap();
        let (running, pod_runtime, address) = start_with(state.path(), true).await;
        Self { running, pod_runtime, address, state }
    }

    /// The administrator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> Value {
        use base64::Engine as _;
        let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
        let admin = &self.running.admin;
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [{"name": "test", "cluster": {"server": format!("https://{}", self.address),
                "certificate-authority-data": encode(&admin.ca_certificate)}}],
            "users": [{"name": "admin", "user": {"client-certificate-data": encode(&admin.client_certificate),
                "client-key-data": encode(&admin.client_key)}}],
        })
    }

    /// The administrator's kube client.
    pub(super) async fn kube(&self) -> kube::Client {
        let kubeconfig: kube::config::Kubeconfig = serde_json::from_value(self.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        kube::Client::try_from(config).unwrap()
    }

    /// A service account and a pod that runs as it.
    pub(super) async fn create_pod(&self, name: &str) -> std::sync::Arc<Value> {
        let account = json!({"metadata": {"name": "default"}});
        match self.running.client.create(&ResourceRef::SERVICE_ACCOUNTS, "default", account).await {
            Err(error) if !error.is_already_exists() => panic!("{error}"),
            _ => {}
        }
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "sagene", "containers": [{"name": "main", "image": "app"}]}});
        self.running.client.create(&ResourceRef::PODS, "default", pod).await.unwrap()
    }
}
