//! Envoy as a sidecar of the mesh: takes every resource, carries traffic over mutual TLS to our sidecars and from them.

use std::path::Path;

use serde_json::Value;

use crate::envoy_pod::{EnvoyPod, Protocol, envoy};
use crate::mesh::{Mesh, Rights};
use crate::skip::skip;

/// Kinds of resources that Envoy counts updates of.
const MANAGERS: [&str; 2] = ["cluster_manager.cds", "listener_manager.lds"];

#[test]
fn envoy_takes_every_resource_and_speaks_mutual_tls_with_our_sidecars() {
    let case = "sidecar::envoy_takes_every_resource_and_speaks_mutual_tls_with_our_sidecars";
    if envoy().is_none() {
        return skip(case, "no Envoy (set SAGENE_ENVOY to the program; tests/run fetches it)");
    }
    let Some(mesh) = Mesh::install(case, Rights::Root) else { return };
    apply(&mesh, "strict.yaml");
    mesh.succeed(&["kubectl", "label", "namespace", "default", "istio-injection=enabled"]);
    apply(&mesh, "httpbin.yaml");
    mesh.wait_for_pods("default", 1);
    let injected = first_pod(&mesh, "app=ours");
    let ours = injected["metadata"]["name"].as_str().expect("a name").to_owned();
    let pods = [
        EnvoyPod::start(&mesh, "envoy-delta", Protocol::Delta, &injected),
        EnvoyPod::start(&mesh, "envoy-state", Protocol::StateOfTheWorld, &injected),
    ];
    for envoy in &pods {
        let listening = || envoy.admin(&mesh, "/listeners").contains("virtualInbound");
        mesh.until("Envoy has its listeners", listening);
        carries_traffic(&mesh, envoy, &ours);
    }
    apply(&mesh, "coverage.yaml");
    for envoy in &pods {
        mesh.until("the route is live in Envoy", || headers_of(&mesh, envoy).contains("X-Covered"));
        carries_traffic(&mesh, envoy, &ours);
        accepted_all(&mesh, envoy);
        in_sync(&mesh, envoy);
    }
}

/// Applies a manifest beside this file.
fn apply(mesh: &Mesh, manifest: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/manifests").join(manifest);
    mesh.succeed(&["kubectl", "apply", "-f", path.to_str().expect("a path")]);
}

fn first_pod(mesh: &Mesh, selector: &str) -> Value {
    let list = mesh.succeed(&["kubectl", "get", "pods", "-l", selector, "-o", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    list["items"][0].clone()
}

/// What our sidecar's application sees of a request from behind Envoy.
fn headers_of(mesh: &Mesh, envoy: &EnvoyPod) -> String {
    envoy.execute(mesh, &["curl", "-s", "-m", "10", "http://ours:8000/headers"])
}

/// Both ways, each side naming the other by its certificate: STRICT lets nothing else through.
fn carries_traffic(mesh: &Mesh, envoy: &EnvoyPod, ours: &str) {
    let seen = || headers_of(mesh, envoy);
    let by_envoy = format!("URI=spiffe://cluster.local/ns/default/sa/{}", envoy.app);
    mesh.until("our sidecar serves Envoy", || seen().contains(&by_envoy));
    let url = format!("http://{}:8000/headers", envoy.app);
    let ask =
        || mesh.run(&["kubectl", "exec", ours, "-c", "client", "--", "curl", "-s", "-m", "10", &url]).stdout;
    mesh.until("Envoy serves our sidecar", || {
        ask().contains("URI=spiffe://cluster.local/ns/default/sa/ours")
    });
}

/// No update was rejected, none is still warming, every type was updated.
fn accepted_all(mesh: &Mesh, envoy: &EnvoyPod) {
    let text = envoy.admin(mesh, "/stats");
    let rejected: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("update_rejected") || line.contains("config_reload_rejected"))
        .filter(|line| !line.ends_with(": 0"))
        .collect();
    let log = || mesh.run(&["kubectl", "logs", &envoy.name, "-c", "istio-proxy"]).stdout;
    assert!(rejected.is_empty(), "{rejected:?}\n{}", log());
    for manager in MANAGERS {
        assert!(envoy.counter(mesh, &format!("{manager}.update_success")) > 1, "{manager}");
    }
    mesh.until("nothing is warming", || {
        envoy.counter(mesh, "cluster_manager.warming_clusters") == 0
            && envoy.counter(mesh, "listener_manager.total_listeners_warming") == 0
    });
    assert_eq!(errors(mesh, envoy), "");
}

/// What Envoy says of versions that it did not take.
fn errors(mesh: &Mesh, envoy: &EnvoyPod) -> String {
    let dump: Value = serde_json::from_str(&envoy.admin(mesh, "/config_dump")).expect("a dump");
    let mut found = String::new();
    collect(&dump, &mut found);
    found
}

fn collect(value: &Value, found: &mut String) {
    match value {
        Value::Object(fields) => {
            if let Some(error) = fields.get("error_state") {
                *found += &format!("{error}\n");
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(entries) => entries.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The control plane knows that Envoy runs what was sent, and the command line reads Envoy as it reads ours.
fn in_sync(mesh: &Mesh, envoy: &EnvoyPod) {
    mesh.until("in sync by the control plane", || {
        let list = mesh.run(&["proxy-status", "-v", "1"]).stdout;
        let line = list.lines().find(|line| line.starts_with(&envoy.name)).unwrap_or_default();
        line.matches("SYNCED").count() >= 4 && !line.contains("STALE") && !line.contains("ERROR")
    });
    let listed =
        mesh.succeed(&["proxy-config", "clusters", &envoy.name, "--fqdn", "ours.default.svc.cluster.local"]);
    assert!(listed.contains("ours.default.svc.cluster.local"), "{listed}");
    mesh.until("what runs is what was sent", || {
        let same = mesh.succeed(&["proxy-status", &envoy.name]);
        ["Clusters Match", "Listeners Match", "Routes Match"].iter().all(|view| same.contains(view))
    });
}
