//! A mesh of YAML objects, and proxies that run on what the control plane makes of it.
//!
//! Nothing is captured here: listeners are moved to addresses of their own, everything else stays as it was generated.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::{self as core, Node};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use sagene_api::istio::MeshConfig;
use sagene_control::generate::{Proxy as ProxyNode, Resource, Settings, type_url};
use sagene_control::index::{Index, Requested};
use sagene_model::Snapshot;
use sagene_model::snapshot::Collected;
use sagene_proxy::config::{ConfigStore, Update};
use sagene_proxy::worker::{Proxy, ProxyOptions};
use serde_json::{Value, json};

use crate::wait;

/// Objects and mesh configuration.
pub(crate) struct Mesh {
    snapshot: Snapshot,
    config: Value,
}

/// A proxy at work; stopped when dropped.
pub(crate) struct Running {
    proxy: Option<Proxy>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// An application that answers each request with its head.
#[derive(Clone)]
pub(crate) struct App {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    served: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Mesh {
    /// The Service `web` in namespace `shop` in front of a workload with the label `app: web`.
    pub(crate) fn new(app: &App) -> Self {
        let mut mesh = Self {
            snapshot: Snapshot::default(),
            config: json!({"inboundTrafficPolicy": {"mode": "LOCALHOST"}}),
        };
        let port = app.address.port();
        mesh.put::<sagene_api::kubernetes::Service>(&format!(
            "{{metadata: {{name: web, namespace: shop}}, spec: {{clusterIP: 10.96.0.10, selector: {{app: web}}, \
             ports: [{{name: http, port: {port}}}]}}}}"
        ));
        mesh.put::<sagene_api::kubernetes::EndpointSlice>(&format!(
            "{{metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, \
             ports: [{{name: http, port: {port}}}], endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]}}"
        ));
        mesh
    }

    /// A service of another namespace at an address of this machine; `port_name` tells its protocol.
    pub(crate) fn add_service(&mut self, name: &str, namespace: &str, port_name: &str, address: SocketAddr) {
        let port = address.port();
        self.put::<sagene_api::kubernetes::Service>(&format!(
            "{{metadata: {{name: {name}, namespace: {namespace}}}, spec: {{clusterIP: 10.96.0.20, selector: {{app: {name}}}, \
             ports: [{{name: {port_name}, port: {port}}}]}}}}"
        ));
        self.put::<sagene_api::kubernetes::EndpointSlice>(&format!(
            "{{metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}, addressType: IPv4, \
             ports: [{{name: {port_name}, port: {port}}}], endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]}}"
        ));
    }

    /// Adds or replaces an object.
    pub(crate) fn put<S: Collected>(&mut self, yaml: &str) {
        let value: Value = serde_yaml::from_str(yaml).expect("YAML");
        let object = sagene_api::Object::<S>::from_value(value).expect("an object");
        self.snapshot.insert(Arc::new(object));
    }

    /// Sets fields of the mesh configuration.
    pub(crate) fn configure(&mut self, layer: Value) {
        for (name, value) in layer.as_object().expect("fields") {
            self.config[name] = value.clone();
        }
    }

    /// Logs requests to a file of its own, which lives as long as the folder.
    pub(crate) fn log_to_file(&mut self) -> (tempfile::TempDir, LogFile) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("access.log");
        self.configure(json!({"accessLogFile": path}));
        (folder, LogFile(path))
    }

    /// The index of all of it.
    pub(crate) fn index(&self) -> Index {
        let config = MeshConfig::from_layers([self.config.clone()]).expect("mesh configuration");
        Index::build(self.snapshot.clone(), Arc::new(Settings::of(&config, "cluster.local", "Kubernetes")))
    }

    /// The sidecar in front of the application, on 127.0.0.2 and the application's port.
    pub(crate) fn sidecar_in(&self, app: &App) -> Result<Running, String> {
        let address = SocketAddr::from(([127, 0, 0, 2], app.address.port()));
        self.start("sidecar", "virtualInbound", address, |made| made.listener_filters.retain(is_inspector))
    }

    /// The sidecar of a client, with the listener for the application's port.
    pub(crate) fn sidecar_out(&self, app: &App) -> Result<Running, String> {
        let name = format!("0.0.0.0_{}", app.address.port());
        self.start("sidecar", &name, SocketAddr::from(([127, 0, 0, 1], 0)), |made| made.bind_to_port = None)
    }

    /// The sidecar of a client, with the listener for connections to an address and port.
    pub(crate) fn sidecar_out_at(&self, ip: &str, port: u16) -> Result<Running, String> {
        let name = format!("{ip}_{port}");
        self.start("sidecar", &name, SocketAddr::from(([127, 0, 0, 1], 0)), |made| made.bind_to_port = None)
    }

    /// The sidecar of a client that reaches the service at `server`, the address of its sidecar.
    pub(crate) fn sidecar_out_to(&self, app: &App, server: SocketAddr) -> Result<Running, String> {
        let (port, mut mesh) =
            (app.address.port(), Self { snapshot: self.snapshot.clone(), config: self.config.clone() });
        mesh.put::<sagene_api::kubernetes::EndpointSlice>(&format!(
            "{{metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, \
             ports: [{{name: http, port: {port}}}], endpoints: [{{addresses: [{}], conditions: {{ready: true}}}}]}}",
            server.ip()
        ));
        mesh.sidecar_out(app)
    }

    /// A gateway (`istio: ingressgateway`), with the listener of a port.
    pub(crate) fn gateway(&self, port: u16) -> Result<Running, String> {
        self.start("router", &format!("0.0.0.0_{port}"), SocketAddr::from(([127, 0, 0, 1], 0)), |_| {})
    }

    fn start(
        &self,
        kind: &str,
        listener: &str,
        address: SocketAddr,
        change: impl Fn(&mut Listener),
    ) -> Result<Running, String> {
        let node = node(kind);
        let parsed = ProxyNode::parse(&node).expect("a node");
        let store = ConfigStore::new();
        apply(&store, &self.index(), &parsed, listener, |made| {
            made.address = Some(socket(address));
            change(made);
        })?;
        let options = ProxyOptions { node, ..ProxyOptions::default() };
        let proxy = Proxy::start(options, store).map_err(|error| error.to_string())?;
        let address = proxy.listening().first().ok_or("not listening")?.1;
        Ok(Running { proxy: Some(proxy), address })
    }
}

fn is_inspector(filter: &envoy_types::pb::envoy::config::listener::v3::ListenerFilter) -> bool {
    filter.name.ends_with("_inspector")
}

fn node(kind: &str) -> Node {
    let labels = match kind {
        "router" => json!({"istio": "ingressgateway", "app": "istio-ingressgateway"}),
        _ => json!({"app": "web", "version": "v1"}),
    };
    let node = json!({
        "cluster": "web.shop",
        "id": format!("{kind}~127.0.0.1~web-1.shop~shop.svc.cluster.local"),
        "metadata": {"NAME": "web-1", "NAMESPACE": "shop", "WORKLOAD_NAME": "web", "CLUSTER_ID": "Kubernetes",
                     "LABELS": labels, "ISTIO_VERSION": "1.32.0"},
    });
    let bytes = sagene_api::envoy::json::from_json("envoy.config.core.v3.Node", &node).expect("a node");
    Node::decode(bytes.as_slice()).expect("a node")
}

fn socket(address: SocketAddr) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(address.port().into())),
            ..core::SocketAddress::default()
        })),
    }
}

/// Gives a proxy what it would be pushed: clusters, their endpoints, one listener, its routes.
fn apply(
    store: &ConfigStore,
    index: &Index,
    proxy: &ProxyNode,
    listener: &str,
    change: impl Fn(&mut Listener),
) -> Result<(), String> {
    let decoded = |resource: &Resource| Any::decode(resource.any.clone()).expect("an Any");
    let push = |type_url: &str, upserts: Vec<(String, Any)>| {
        let upserts = upserts.into_iter().map(|(name, any)| (name, "1".to_owned(), any)).collect();
        store
            .apply(Update { type_url: type_url.to_owned(), upserts, removed: Vec::new() })
            .map_err(|refused| refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let of = |type_url: &str, names: BTreeSet<String>| -> Vec<(String, Any)> {
        let names: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
        let found = index.resources(proxy, type_url, Requested::Names(&names));
        found.iter().map(|one| (one.name.to_string(), decoded(one))).collect()
    };
    let clusters = index.set(proxy, type_url::CLUSTER);
    push(
        type_url::CLUSTER,
        clusters.resources.iter().map(|one| (one.name.to_string(), decoded(one))).collect(),
    )?;
    push(type_url::ENDPOINT, of(type_url::ENDPOINT, store.wanted().endpoints.into_iter().collect()))?;
    let listeners = index.set(proxy, type_url::LISTENER);
    let found = listeners.resources.iter().find(|one| *one.name == *listener);
    let found = found.ok_or_else(|| {
        let names: Vec<String> = listeners.resources.iter().map(|one| one.name.to_string()).collect();
        format!("no listener {listener}; there are {names:?}")
    })?;
    let any = decoded(found);
    let mut made = Listener::decode(any.value.as_slice()).expect("a listener");
    change(&mut made);
    push(
        type_url::LISTENER,
        vec![(listener.to_owned(), Any { type_url: any.type_url, value: made.encode_to_vec() })],
    )?;
    push(type_url::ROUTE, of(type_url::ROUTE, store.wanted().routes.into_iter().collect()))
}

impl Running {
    /// One request for `web.shop` on a connection of its own; the whole answer.
    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        self.get_host("web.shop", path, headers)
    }

    /// One request for a host.
    pub(crate) fn get_host(&self, host: &str, path: &str, headers: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
        self.send(&head)
    }
}

impl Running {
    /// One request with a body; the whole answer.
    pub(crate) fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: web.shop\r\n{headers}content-length: {length}\r\nConnection: close\r\n\r\n{body}"))
    }

    /// A request word by word; the whole answer.
    pub(crate) fn send(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).expect("connect");
        socket.set_read_timeout(Some(wait::PATIENCE)).expect("timeout");
        socket.write_all(request.as_bytes()).expect("write");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The value of a statistic; zero where there is none.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let text = self.proxy.as_ref().map(|proxy| proxy.stats().render_text()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// The statistics in Prometheus' format.
    pub(crate) fn prometheus(&self) -> String {
        self.proxy.as_ref().map(|proxy| proxy.stats().render_prometheus()).unwrap_or_default()
    }
}

/// A file of log lines.
pub(crate) struct LogFile(pub(crate) std::path::PathBuf);

impl LogFile {
    /// Waits for the first line.
    pub(crate) fn wait_for_line(&self) -> String {
        let first = wait::until(|| {
            let text = std::fs::read_to_string(&self.0).ok()?;
            text.split_once('\n').map(|(line, _)| line.to_owned())
        });
        first.unwrap_or_else(|| panic!("no line in {}", self.0.display()))
    }

    /// Its lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits for so many lines.
    pub(crate) fn wait_for_lines(&self, count: usize) {
        let enough = wait::until(|| (self.lines().len() >= count).then_some(()));
        assert!(enough.is_some(), "{:?}", self.lines());
    }

    /// Waits until the file holds exactly this.
    pub(crate) fn wait_for(&self, expected: &str) {
        let mut found = String::new();
        let _as_expected = wait::until(|| {
            found = std::fs::read_to_string(&self.0).unwrap_or_default();
            (found == expected).then_some(())
        });
        assert_eq!(found, expected);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop();
        }
    }
}

impl App {
    /// Starts it on a port of its own.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let app = Self { address, served: Arc::default(), heads: Arc::default() };
        let this = app.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.serve(socket));
            }
        });
        app
    }

    /// How many requests came.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    fn serve(&self, mut socket: TcpStream) {
        let (mut input, mut piece) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let end = loop {
                if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                match socket.read(&mut piece) {
                    Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                    _ => return,
                }
            };
            let head: Vec<u8> = input.drain(..end).collect();
            self.served.fetch_add(1, Ordering::SeqCst);
            self.heads.lock().expect("heads").push(String::from_utf8_lossy(&head).into_owned());
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
            if socket.write_all(&[answer.into_bytes(), head].concat()).is_err() {
                return;
            }
        }
    }
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The body of an answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
