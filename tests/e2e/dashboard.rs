//! `dashboard kiali` on live traffic: what the graph says, and that a browser draws it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::http;
use crate::mesh::{Mesh, Rights};
use crate::skip::skip;

const EDGES: [(&str, &str); 3] =
    [("productpage", "details"), ("productpage", "reviews"), ("istio-ingressgateway", "productpage")];

#[test]
fn the_graph_shows_live_rates_and_locks() {
    let Some(mesh) = Mesh::install("dashboard::the_graph_shows_live_rates_and_locks", Rights::Root) else {
        return;
    };
    mesh.open_shop();
    let browse = || {
        for _ in 0..10 {
            assert_eq!(mesh.get("/productpage").expect("answer").status, 200);
        }
    };
    browse();
    let dashboard = Dashboard::open(&mesh);
    let graph = || {
        let path = "/kiali/api/namespaces/graph?namespaces=default,istio-system&graphType=app&duration=60s&injectServiceNodes=false";
        let answer = http::get(dashboard.address, "localhost", path, &[]).expect("answer");
        serde_json::from_str::<Value>(&answer.body).unwrap_or_default()
    };
    mesh.until("every edge has the traffic from before, and a lock", || {
        let graph = graph();
        EDGES.iter().all(|(source, target)| edge(&graph, source, target).is_some_and(|edge| secured(&edge)))
    });
    let rates = || {
        let graph = graph();
        EDGES.map(|(source, target)| {
            edge(&graph, source, target).and_then(|edge| rate(&edge)).unwrap_or_default()
        })
    };
    let before = rates();
    mesh.until("more requests, higher rates", || {
        browse();
        rates().iter().zip(before).all(|(now, before)| *now > before)
    });
    drawn(&mesh, &dashboard);
}

fn edge(graph: &Value, source: &str, target: &str) -> Option<Value> {
    let nodes = graph["elements"]["nodes"].as_array()?;
    let id = |app: &str| {
        let node =
            nodes.iter().find(|node| node["data"]["app"] == app && node["data"]["nodeType"] == "app")?;
        node["data"]["id"].as_str().map(str::to_owned)
    };
    let (source, target) = (id(source)?, id(target)?);
    let edges = graph["elements"]["edges"].as_array()?;
    let found =
        edges.iter().find(|edge| edge["data"]["source"] == source && edge["data"]["target"] == target);
    found.map(|edge| edge["data"].clone())
}

fn secured(edge: &Value) -> bool {
    edge["isMTLS"].to_string().trim_matches('"') == "100" && rate(edge).is_some_and(|rate| rate > 0.0)
}

fn rate(edge: &Value) -> Option<f64> {
    edge["traffic"]["rates"]["http"].as_str()?.parse().ok()
}

/// Headless Chromium runs the page, and the shop's services are on it.
fn drawn(mesh: &Mesh, dashboard: &Dashboard) {
    if Command::new("chromium").arg("--version").output().is_err() {
        return skip("dashboard::drawn", "no Chromium");
    }
    mesh.until("the page shows the services and their locks", || {
        let page = page(dashboard);
        ["productpage", "details", "reviews", "istio-ingressgateway", "class=\"lock"]
            .iter()
            .all(|name| page.contains(name))
    });
}

/// What the page has become after ten seconds of its own time.
fn page(dashboard: &Dashboard) -> String {
    let url = format!("http://{}/kiali/", dashboard.address);
    let profile = tempfile::tempdir().expect("temporary directory");
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=10000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &url])
        .stderr(Stdio::null())
        .output()
        .expect("Chromium runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The process that serves the page.
struct Dashboard {
    process: Child,
    address: SocketAddr,
}

impl Dashboard {
    fn open(mesh: &Mesh) -> Self {
        let port = free_port().to_string();
        let mut command = mesh.command(&[
            "dashboard",
            "kiali",
            "--browser=false",
            "--address",
            "127.0.0.1",
            "--port",
            &port,
        ]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the dashboard starts");
        let lines = BufReader::new(process.stdout.take().expect("stdout")).lines();
        let url = lines.map_while(Result::ok).find(|line| line.starts_with("http://"));
        let url = url.expect("the dashboard prints its address");
        let address =
            url.trim_start_matches("http://").split('/').next().and_then(|address| address.parse().ok());
        Self { process, address: address.expect("an address") }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
