//! A pod whose sidecar is Envoy, captured by the same rules as ours.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::mesh::Mesh;
use crate::{certificate, secret_server};

/// How Envoy asks for its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `DELTA_GRPC`
    Delta,
    /// `GRPC`
    StateOfTheWorld,
}

/// The running pod; what it needs lives as long as this.
pub(crate) struct EnvoyPod {
    /// Its name.
    pub(crate) name: String,
    /// Name of its Deployment, Service and `app` label.
    pub(crate) app: &'static str,
    _files: TempDir,
    _secrets: Runtime,
}

/// The program, where the machine has it.
pub(crate) fn envoy() -> Option<PathBuf> {
    std::env::var_os("SAGENE_ENVOY").map(PathBuf::from).filter(|path| path.is_file())
}

impl EnvoyPod {
    /// Starts the pod; `injected` is a pod of the mesh, whose capture it takes over.
    pub(crate) fn start(mesh: &Mesh, app: &'static str, protocol: Protocol, injected: &Value) -> Self {
        let files = tempfile::Builder::new().prefix("sagene-interop-").tempdir().expect("a folder");
        let folder = files.path();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("a folder for all");
        let program = folder.join("envoy");
        std::fs::copy(envoy().expect("Envoy"), &program).expect("a copy of Envoy");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("a program for all");
        let manifest = folder.join("pod.json");
        let objects = objects(app, injected, folder.to_str().expect("a path"));
        std::fs::write(&manifest, objects.to_string()).expect("a manifest");
        mesh.succeed(&["kubectl", "apply", "-f", manifest.to_str().expect("a path")]);

        let selector = format!("app={app}");
        let list = || -> Value {
            let list = mesh.succeed(&["kubectl", "get", "pods", "-l", &selector, "-o", "json"]);
            serde_json::from_str(&list).expect("JSON")
        };
        mesh.until("the pod has an address and runs", || list()["items"][0]["status"]["phase"] == "Running");
        let pod = list()["items"][0].clone();
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        let token = mesh.succeed(&[
            "kubectl",
            "exec",
            &name,
            "-c",
            "client",
            "--",
            "cat",
            "/var/run/secrets/tokens/istio-token",
        ]);
        let istiod = istiod(mesh);
        let root = root(mesh);
        let forward = Forward::start(mesh);
        let secrets = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build();
        let secrets = secrets.expect("a runtime");
        secrets.block_on(async {
            let identity = format!("spiffe://cluster.local/ns/default/sa/{app}");
            let certificate = certificate::obtain(forward.address, &root, token.trim(), &identity).await;
            secret_server::serve(&folder.join("sds"), certificate);
        });
        let bootstrap = bootstrap(&pod, app, protocol, istiod, &root, token.trim());
        let ready = folder.join("bootstrap.json");
        let unfinished = folder.join("bootstrap.new");
        std::fs::write(&unfinished, bootstrap.to_string()).expect("a bootstrap");
        std::fs::rename(&unfinished, &ready).expect("a bootstrap");
        Self { name, app, _files: files, _secrets: secrets }
    }

    /// Runs a program in the pod's network.
    pub(crate) fn execute(&self, mesh: &Mesh, command: &[&str]) -> String {
        let output = mesh.run(&[&["kubectl", "exec", &self.name, "-c", "client", "--"], command].concat());
        output.stdout
    }

    /// An answer of Envoy's admin interface.
    pub(crate) fn admin(&self, mesh: &Mesh, path: &str) -> String {
        self.execute(mesh, &["curl", "-s", "-m", "20", &format!("http://127.0.0.1:15000{path}")])
    }

    /// A counter of Envoy.
    pub(crate) fn counter(&self, mesh: &Mesh, name: &str) -> u64 {
        let text = self.admin(mesh, "/stats");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

/// Address of the control plane as pods reach it.
fn istiod(mesh: &Mesh) -> SocketAddr {
    let service = mesh.succeed(&["kubectl", "-n", "istio-system", "get", "service", "istiod", "-o", "json"]);
    let service: Value = serde_json::from_str(&service).expect("JSON");
    let address = service["spec"]["clusterIP"].as_str().expect("an address");
    SocketAddr::new(address.parse().expect("an address"), 15012)
}

/// The control plane as this process reaches it: pods have a network of their own.
struct Forward {
    process: Child,
    address: SocketAddr,
}

impl Forward {
    fn start(mesh: &Mesh) -> Self {
        let mut command =
            mesh.command(&["kubectl", "-n", "istio-system", "port-forward", "deploy/istiod", ":15012"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a port-forward");
        let mut line = String::new();
        let stdout = process.stdout.as_mut().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.split_whitespace().find_map(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { process, address }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It is over either way.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root(mesh: &Mesh) -> String {
    let map = mesh.succeed(&["kubectl", "get", "configmap", "istio-ca-root-cert", "-o", "json"]);
    let map: Value = serde_json::from_str(&map).expect("JSON");
    map["data"]["root-cert.pem"].as_str().expect("a root").to_owned()
}

fn objects(app: &str, injected: &Value, folder: &str) -> Value {
    let containers = injected["spec"]["initContainers"].as_array().expect("init containers");
    let capture = containers.iter().find(|container| container["name"] == "istio-init").expect("istio-init");
    let start = "until [ -f /interop/bootstrap.json ]; do sleep 0.05; done; \
         exec /interop/envoy -c /interop/bootstrap.json --concurrency 1 --log-level warning";
    let token = json!({"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 3600, "path": "istio-token"}});
    let mount = json!([{"name": "istio-token", "mountPath": "/var/run/secrets/tokens"}]);
    let labels = json!({
        "app": app, "version": "v1", "sidecar.istio.io/inject": "false", "security.istio.io/tlsMode": "istio",
    });
    let pod = json!({
        "serviceAccountName": app,
        "initContainers": [capture],
        "containers": [
            {"name": "httpbin", "image": "docker.io/mccutchen/go-httpbin:v2.15.0", "ports": [{"containerPort": 8080}]},
            {"name": "client", "image": "curlimages/curl", "command": ["/bin/sleep", "3600"], "volumeMounts": mount},
            {"name": "istio-proxy", "image": "envoyproxy/envoy", "command": ["/bin/sh", "-c", start],
             "securityContext": {"runAsUser": 1337, "runAsGroup": 1337},
             "volumeMounts": [{"name": "interop", "mountPath": "/interop"}]},
        ],
        "volumes": [
            {"name": "istio-token", "projected": {"sources": [token]}},
            {"name": "interop", "hostPath": {"path": folder}},
        ],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": app}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
         "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 8000, "targetPort": 8080}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
         "spec": {"selector": {"matchLabels": {"app": app}},
                  "template": {"metadata": {"labels": labels}, "spec": pod}}},
    ]})
}

/// What Istio's agent writes for Envoy, as far as discovery and certificates go.
fn bootstrap(
    pod: &Value,
    app: &str,
    protocol: Protocol,
    istiod: SocketAddr,
    root: &str,
    token: &str,
) -> Value {
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let address = pod["status"]["podIP"].as_str().expect("an address");
    let api_type = if protocol == Protocol::Delta { "DELTA_GRPC" } else { "GRPC" };
    let http2 = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    let cluster = |name: &str, endpoint: Value| {
        let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}]);
        json!({"name": name, "type": "STATIC", "connect_timeout": "5s", "typed_extension_protocol_options": http2,
               "load_assignment": {"cluster_name": name, "endpoints": endpoints}})
    };
    let mut discovery = cluster(
        "xds-grpc",
        json!({"socket_address": {"address": istiod.ip().to_string(), "port_value": istiod.port()}}),
    );
    discovery["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "istiod.istio-system.svc",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "validation_context": {
                    "trusted_ca": {"inline_string": root},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "istiod.istio-system.svc"}}],
                },
            },
        },
    });
    json!({
        "node": {
            "id": format!("sidecar~{address}~{name}.default~default.svc.cluster.local"),
            "cluster": format!("{app}.default"),
            "metadata": {
                "NAME": name, "NAMESPACE": "default", "INSTANCE_IPS": address, "CLUSTER_ID": "Kubernetes",
                "INTERCEPTION_MODE": "REDIRECT", "ISTIO_VERSION": "1.32.0", "LABELS": pod["metadata"]["labels"],
                "SERVICE_ACCOUNT": app, "WORKLOAD_NAME": app, "MESH_ID": "cluster.local",
            },
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "dynamic_resources": {
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "ads_config": {
                "api_type": api_type, "transport_api_version": "V3", "set_node_on_first_message_only": true,
                "grpc_services": [{
                    "envoy_grpc": {"cluster_name": "xds-grpc"},
                    "initial_metadata": [{"key": "authorization", "value": format!("Bearer {token}")}],
                }],
            },
        },
        "static_resources": {"clusters": [discovery, cluster("sds-grpc", json!({"pipe": {"path": "/interop/sds"}}))]},
    })
}
