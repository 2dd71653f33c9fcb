//! A proxy in front of a service that answers with what it got, configured in Envoy's YAML.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::worker::{Proxy, ProxyOptions};

/// A running proxy; stopped when dropped.
pub(in crate::filter::tests) struct Running {
    pub(in crate::filter::tests) proxy: Option<Proxy>,
    pub(in crate::filter::tests) address: SocketAddr,
    /// Requests that reached the service.
    pub(in crate::filter::tests) served: Arc<AtomicUsize>,
}

/// The parts of a configuration that tests change.
#[derive(Default, Clone)]
pub(in crate::filter::tests) struct Parts {
    /// YAML list items of HTTP filters in front of the router.
    pub(in crate::filter::tests) filters: String,
    /// More fields of the connection manager.
    pub(in crate::filter::tests) manager: String,
    /// YAML list items of routes in front of the one for everything.
    pub(in crate::filter::tests) routes: String,
    /// More fields of the virtual host.
    pub(in crate::filter::tests) host: String,
    /// YAML list items of further clusters.
    pub(in crate::filter::tests) clusters: String,
    /// YAML fields of the node.
    pub(in crate::filter::tests) node: String,
    /// `INBOUND` or `OUTBOUND`.
    pub(in crate::filter::tests) direction: &'static str,
}

fn indent(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

impl Parts {
    pub(in crate::filter::tests) fn bootstrap(&self, service: SocketAddr) -> String {
        let direction = if self.direction.is_empty() { "UNSPECIFIED" } else { self.direction };
        format!(
            r#"
node:
  id: sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local
{node}
static_resources:
  listeners:
  - name: front
    traffic_direction: {direction}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
{manager}
          http_filters:
{filters}
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
{host}
              routes:
{routes}
              - name: default
                match: {{prefix: "/"}}
                route: {{cluster: service}}
  clusters:
  - name: service
    type: STATIC
    connect_timeout: 2s
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
{clusters}
"#,
            node = indent(&self.node, 2),
            manager = indent(&self.manager, 10),
            filters = indent(&self.filters, 10),
            host = indent(&self.host, 14),
            routes = indent(&self.routes, 14),
            clusters = indent(&self.clusters, 2),
            port = service.port(),
        )
    }

    /// Starts the proxy, or says why it does not take the configuration.
    pub(in crate::filter::tests) fn start(&self) -> Result<Running, String> {
        let served = Arc::<AtomicUsize>::default();
        let service = echo_service(served.clone());
        let yaml: serde_json::Value =
            serde_yaml::from_str(&self.bootstrap(service)).map_err(|error| error.to_string())?;
        let name = "envoy.config.bootstrap.v3.Bootstrap";
        let bytes = sagene_api::envoy::json::from_json(name, &yaml).map_err(|error| error.to_string())?;
        let bootstrap = prost::Message::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
        let proxy = Proxy::run_static(ProxyOptions { workers: 1, ..ProxyOptions::default() }, &bootstrap)
            .map_err(|error| format!("{error:?}"))?;
        let address = proxy.listening().first().ok_or("not listening")?.1;
        Ok(Running { proxy: Some(proxy), address, served })
    }
}

impl Running {
    /// One request on a connection of its own; the whole answer.
    pub(in crate::filter::tests) fn get(&self, path: &str, headers: &str) -> String {
        talk(
            self.address,
            &format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{headers}Connection: close\r\n\r\n"),
        )
    }

    /// How many requests reached the service.
    pub(in crate::filter::tests) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// The value of a statistic; zero where there is none.
    pub(in crate::filter::tests) fn stat(&self, name: &str) -> u64 {
        let text = self.proxy.as_ref().map(|proxy| proxy.stats().render_text()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop();
        }
    }
}

/// The status of an answer.
pub(in crate::filter::tests) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The body of an answer.
pub(in crate::filter::tests) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(in crate::filter::tests) fn talk(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    socket.write_all(request.as_bytes()).expect("write");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A service whose answers are the heads of the requests.
fn echo_service(served: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let served = served.clone();
            std::thread::spawn(move || serve(socket, &served));
        }
    });
    address
}

fn serve(mut socket: TcpStream, served: &AtomicUsize) {
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
        served.fetch_add(1, Ordering::SeqCst);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
        if socket.write_all(&[answer.into_bytes(), head].concat()).is_err() {
            return;
        }
    }
}
