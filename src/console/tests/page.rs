//! The page in a real browser: headless Chromium loads it from a console fed by made-up proxies.
//!
//! Skipped, and said so, where there is no Chromium.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sagene_console::graph::decorate::{MeshView, NamespaceInfo, VirtualServiceFacts};
use sagene_console::telemetry::{ScrapeError, Scraper, Target, collector::Scrape};
use sagene_console::{Console, ConsoleOptions};

/// Proxies whose counters grow by each scrape: web → cart (v1 90 %, v2 10 %) → stock.
struct GrowingProxies(AtomicU32);

impl Scraper for GrowingProxies {
    fn targets(&self) -> Vec<Target> {
        let (namespace, pod) = ("shop".to_owned(), "all".to_owned());
        vec![Target { namespace, pod, uid: "1".to_owned(), address: "127.0.0.1".to_owned(), started: None }]
    }

    fn scrape<'a>(&'a self, target: &'a Target) -> Scrape<'a> {
        Box::pin(async move {
            let beat = self.0.fetch_add(1, Ordering::Relaxed);
            if target.pod.is_empty() {
                return Err(ScrapeError { pod: target.pod.clone(), reason: "no name".to_owned() });
            }
            let hops = [
                ("ingress", "v1", "web", "v1", 100),
                ("web", "v1", "cart", "v1", 90),
                ("web", "v1", "cart", "v2", 10),
                ("cart", "v1", "stock", "v1", 90),
                ("cart", "v2", "stock", "v1", 10),
            ];
            Ok(hops
                .iter()
                .map(|(source, from, target, to, count)| exposition(source, from, target, to, count * beat))
                .collect())
        })
    }
}

fn exposition(source: &str, from: &str, target: &str, to: &str, count: u32) -> String {
    let labels = format!(
        "reporter=\"destination\",source_workload=\"{source}-{from}\",source_workload_namespace=\"shop\",source_canonical_service=\"{source}\",\
         source_canonical_revision=\"{from}\",destination_workload=\"{target}-{to}\",destination_workload_namespace=\"shop\",\
         destination_canonical_service=\"{target}\",destination_canonical_revision=\"{to}\",destination_service=\"{target}.shop.svc.cluster.local\",\
         destination_service_name=\"{target}\",destination_service_namespace=\"shop\",request_protocol=\"http\",response_flags=\"-\",\
         connection_security_policy=\"mutual_tls\""
    );
    let failed = if to == "v2" { count / 4 } else { 0 };
    let mut text = format!("istio_requests_total{{{labels},response_code=\"200\"}} {}\n", count - failed);
    text += &format!("istio_requests_total{{{labels},response_code=\"503\"}} {failed}\n");
    for (bound, share) in [("5", 50), ("10", 90), ("25", 100), ("+Inf", 100)] {
        text += &format!(
            "istio_request_duration_milliseconds_bucket{{{labels},le=\"{bound}\"}} {}\n",
            count * share / 100
        );
    }
    text + &format!(
        "istio_request_duration_milliseconds_sum{{{labels}}} {}\nistio_request_duration_milliseconds_count{{{labels}}} {count}\n",
        count * 6
    )
}

struct Shop;

impl MeshView for Shop {
    fn namespaces(&self) -> Vec<NamespaceInfo> {
        vec![NamespaceInfo {
            name: "shop".to_owned(),
            cluster: "Kubernetes".to_owned(),
            labels: BTreeMap::new(),
            pods: 2,
            meshed: 1,
        }]
    }
    fn virtual_service(&self, _: &str, service: &str) -> Option<VirtualServiceFacts> {
        (service == "cart").then(|| VirtualServiceFacts {
            hostnames: vec!["cart".to_owned()],
            traffic_shifting: true,
            ..Default::default()
        })
    }
    fn has_circuit_breaker(&self, _: &str, service: &str, version: Option<&str>) -> bool {
        service == "stock" && version.is_none()
    }
    fn missing_sidecar(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }
    fn is_gateway(&self, _: &str, app: &str) -> bool {
        app == "ingress"
    }
    fn is_service_entry(&self, _: &str, _: &str) -> bool {
        false
    }
}

/// Loads `url` and returns the document after its scripts ran; a picture is kept where `SAGENE_SCREENSHOT` names a file.
fn browse(url: &str) -> Option<String> {
    let profile = tempfile::tempdir().expect("a profile folder");
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1500,860",
        "--virtual-time-budget=6000",
        "--force-prefers-reduced-motion",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    if let Ok(file) = std::env::var("SAGENE_SCREENSHOT") {
        let picture = arguments.iter().cloned().chain([format!("--screenshot={file}"), url.to_owned()]);
        Command::new("chromium").args(picture).output().ok()?;
    }
    arguments.extend(["--dump-dom".to_owned(), url.to_owned()]);
    let output = Command::new("chromium").args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_graph_is_drawn_with_rates_locks_and_boxes() {
    let proxies = Arc::new(GrowingProxies(AtomicU32::new(0)));
    let options = ConsoleOptions {
        scraper: proxies.clone(),
        mesh: Arc::new(Shop),
        interval: Duration::from_millis(100),
        source: "made-up proxies".to_owned(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(Console::new(options).serve(listener, async { drop(stopped.await) }));
    // Rates are differences.
    while proxies.0.load(Ordering::Relaxed) < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let url = format!("http://{address}/kiali/?refresh=0&selected=app:shop/cart/v2");
    let page = tokio::task::spawn_blocking(move || browse(&url)).await.expect("the browser's thread");
    drop(stop);
    server.await.expect("the server's task").expect("serving");
    let Some(page) = page else {
        eprintln!("SKIPPED the_graph_is_drawn_with_rates_locks_and_boxes: no chromium on this machine");
        return;
    };
    for expected in [
        "data-id=\"box:shop/cart\"",
        "data-id=\"app:shop/cart/v2\"",
        "data-id=\"service:shop/stock\"",
        "class=\"lock \"",
        "%err",
        "Virtual service: traffic shifting",
        "made-up proxies",
        "class=\"spark\"",
    ] {
        assert!(page.contains(expected), "the page lacks {expected}:\n{page}");
    }
}
