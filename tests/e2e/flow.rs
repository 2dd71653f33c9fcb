//! From an empty machine to traffic, and back to an empty machine.

use std::process::Command;

use crate::http;
use crate::mesh::{Mesh, Rights};
use crate::program::finish;

/// Requests over which the canary's share is counted.
const REQUESTS: usize = 2_000;

#[test]
fn the_main_job_as_root() {
    main_job("flow::the_main_job_as_root", Rights::Root);
}

#[test]
fn the_main_job_as_a_user() {
    main_job("flow::the_main_job_as_a_user", Rights::User);
}

fn main_job(case: &str, rights: Rights) {
    let Some(mesh) = Mesh::install(case, rights) else { return };
    mesh.open_shop();
    page_comes_from_four_services(&mesh);
    requests_are_encrypted_between_pods(&mesh);
    canary_is_split_by_header_and_weight(&mesh);
    commands_tell_the_truth(&mesh);
    kubectl_sees_the_same(&mesh);
    let home = mesh.home();
    drop(mesh);
    nothing_is_left(&home);
}

fn page_comes_from_four_services(mesh: &Mesh) {
    let page = mesh.get("/productpage").expect("answer");
    assert_eq!(page.status, 200, "{page:?}");
    for part in ["Book Details", "Book Reviews", "Reviews served by"] {
        assert!(page.body.contains(part), "no {part:?} in {}", page.body);
    }
    assert_eq!(mesh.get("/nothing-is-here").expect("answer").status, 404);
}

/// What the server's own proxy counted, by the certificate that it saw.
fn requests_are_encrypted_between_pods(mesh: &Mesh) {
    let counted = || {
        let stats = ["pilot-agent", "request", "GET", "stats/prometheus"];
        let exec = ["kubectl", "exec", "deploy/details-v1", "-c", "istio-proxy", "--"];
        let text = mesh.succeed(&[&exec[..], &stats[..]].concat());
        let requests = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
        requests
            .filter(|line| line.contains("reporter=\"destination\""))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    mesh.until("details counted requests", || !counted().is_empty());
    for line in counted() {
        for label in [
            "connection_security_policy=\"mutual_tls\"",
            "source_principal=\"spiffe://cluster.local/ns/default/sa/productpage\"",
            "destination_principal=\"spiffe://cluster.local/ns/default/sa/details\"",
            "source_workload=\"productpage-v1\"",
            "response_code=\"200\"",
        ] {
            assert!(line.contains(label), "no {label} in {line}");
        }
    }
}

fn canary_is_split_by_header_and_weight(mesh: &Mesh) {
    mesh.apply("canary.yaml");
    let ask =
        |headers: &[(&str, &str)]| http::get(mesh.ingress, "reviews.example.com", "/reviews/0", headers);
    mesh.until("the canary's rule is live", || ask(&[]).is_ok_and(|answer| answer.status == 200));
    for _ in 0..50 {
        let answer = ask(&[("x-canary", "true")]).expect("answer");
        assert!(answer.body.contains("reviews-v2"), "{answer:?}");
    }
    let mut canaries = 0;
    for _ in 0..REQUESTS {
        let answer = ask(&[]).expect("answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains("reviews-v3"), "{answer:?}");
        canaries += usize::from(answer.body.contains("reviews-v2"));
    }
    // One in ten of 2,000 is 200 with a standard deviation of 13.4; four of them are exceeded once in 15,000 runs.
    assert!((146..=254).contains(&canaries), "{canaries} of {REQUESTS} went to the canary");
}

fn commands_tell_the_truth(mesh: &Mesh) {
    let analyzed = mesh.run(&["analyze"]);
    assert_eq!(analyzed.code, 0, "{analyzed:?}");
    let said = format!("{}{}", analyzed.stdout, analyzed.stderr);
    assert!(said.contains("✔ No validation issues found when analyzing namespace: default."), "{said}");

    let status = mesh.succeed(&["proxy-status"]);
    let header: Vec<&str> = status.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED", "TYPES"]);
    assert_eq!(status.lines().count(), 1 + 8, "six sidecars and two gateways: {status}");
    for line in status.lines().skip(1) {
        assert!(line.contains("(CDS,LDS,EDS"), "{line}");
    }

    let routes = mesh.succeed(&["proxy-config", "routes", "deploy/productpage-v1"]);
    let reviews = routes.lines().find(|line| line.contains("reviews.default.svc.cluster.local:9080"));
    assert!(reviews.is_some_and(|line| line.trim_end().ends_with("reviews.default")), "{routes}");
    for view in ["bootstrap", "clusters", "endpoints", "listeners", "secret", "log", "all", "ecds"] {
        let shown = mesh.succeed(&["proxy-config", view, "deploy/productpage-v1"]);
        assert!(!shown.trim().is_empty(), "proxy-config {view} prints nothing");
    }
    let secrets = mesh.succeed(&["proxy-config", "secret", "deploy/productpage-v1"]);
    assert!(secrets.lines().any(|line| line.starts_with("default") && line.contains("ACTIVE")), "{secrets}");
    let version = mesh.succeed(&["version"]);
    assert!(version.contains("data plane version: ") && version.contains("(8 proxies)"), "{version}");
}

/// The real kubectl with the kubeconfig that `install` wrote, where there is one.
fn kubectl_sees_the_same(mesh: &Mesh) {
    let mut kubectl = Command::new("kubectl");
    let kubeconfig = mesh.home().join("kubeconfig");
    kubectl.arg("--kubeconfig").arg(kubeconfig).args(["get", "pods", "--no-headers"]);
    if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        return crate::skip::skip("flow::kubectl_sees_the_same", "no kubectl");
    }
    let listed = finish(kubectl, "");
    assert_eq!(listed.code, 0, "{listed:?}");
    assert_eq!(listed.stdout.lines().count(), 6, "{listed:?}");
    assert!(listed.stdout.lines().all(|line| line.contains("2/2") && line.contains("Running")), "{listed:?}");
}

fn nothing_is_left(home: &std::path::Path) {
    assert!(!home.exists(), "{} is still there", home.display());
    let home = home.to_str().expect("path");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(home), "{mounts}");
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        assert!(!command.contains(home), "still running: {command}");
    }
}
