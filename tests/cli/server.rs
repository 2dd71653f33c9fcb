//! An API server with its controllers in this process, and the program run against it. There is no node: pods stay pending.

use std::net::TcpListener;
use std::path::PathBuf;

use sagene_cluster::apiserver::{ApiServer, ApiServerConfig, RunningApiServer};
use sagene_cluster::controllers;
use sagene_cluster::pod_runtime::PodRuntimeHandle;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::program::{Output, finish, sagene};

/// A server with an empty cluster.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    running: Option<RunningApiServer>,
    controllers_stop: CancellationToken,
    directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().expect("temporary directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let config = ApiServerConfig {
            state_dir: directory.path().join("state"),
            listeners: vec![listener],
            node_ip: None,
            advertise: address,
            dual_stack: false,
            pod_runtime: PodRuntimeHandle::default(),
        };
        let running = runtime.block_on(ApiServer::start(config)).expect("the API server starts");
        let controllers_stop = CancellationToken::new();
        runtime.spawn(controllers::run(
            running.client.clone(),
            running.admin.ca_certificate.clone(),
            directory.path().join("volumes"),
            controllers_stop.clone(),
        ));
        let data = |pem: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("https://{address}"),
                "certificate-authority-data": data(&running.admin.ca_certificate)}}],
            "users": [{"name": "test", "user": {"client-certificate-data": data(&running.admin.client_certificate),
                "client-key-data": data(&running.admin.client_key)}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig.to_string()).expect("kubeconfig");
        Self { runtime, running: Some(running), controllers_stop, directory }
    }

    /// Runs the program against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    /// The same, with something on stdin.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = sagene();
        command.env("KUBECONFIG", self.directory.path().join("kubeconfig")).args(arguments);
        finish(command, input)
    }

    /// A file below the test's own directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("file");
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.controllers_stop.cancel();
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.shutdown());
        }
    }
}
