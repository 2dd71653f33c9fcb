//! What was applied stays, whatever happens to the processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::mesh::{Mesh, Rights};

#[test]
fn a_stop_and_a_kill_lose_nothing() {
    let Some(mesh) = Mesh::install("survival::a_stop_and_a_kill_lose_nothing", Rights::Root) else { return };
    mesh.open_shop();
    mesh.apply("canary.yaml");

    mesh.succeed(&["cluster", "stop"]);
    assert!(mesh.get("/productpage").is_err(), "nobody listens on a stopped cluster's ports");
    mesh.succeed(&["cluster", "start"]);
    mesh.until("the page is back after a stop", || {
        mesh.get("/productpage").is_ok_and(|answer| answer.status == 200)
    });

    let status: Value =
        serde_json::from_str(&mesh.succeed(&["cluster", "status", "-o", "json"])).expect("JSON");
    let process = status["process"].as_i64().and_then(|id| i32::try_from(id).ok());
    let process = process.unwrap_or_else(|| panic!("no process id in {status}"));
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until_refused(&mesh));
        mesh.until("some objects are written", || {
            mesh.run(&["kubectl", "get", "configmap", "written-3"]).code == 0
        });
        kill(Pid::from_raw(process), Signal::SIGKILL).expect("the daemon is killed");
        writer.join().expect("the writer ends")
    });
    mesh.until("the cluster is seen to be gone", || mesh.run(&["cluster", "status"]).code != 0);
    mesh.succeed(&["cluster", "start"]);
    mesh.until("the page is back after a kill", || {
        mesh.get("/productpage").is_ok_and(|answer| answer.status == 200)
    });
    let rules = mesh.succeed(&["kubectl", "get", "virtualservices", "-o", "name"]);
    assert_eq!(rules.lines().count(), 2, "{rules}");
    let maps = mesh.succeed(&["kubectl", "get", "configmaps", "-o", "name"]);
    for name in acknowledged {
        assert!(maps.lines().any(|line| line.ends_with(&format!("/{name}"))), "{name} is lost: {maps}");
    }
}

/// The names of the objects whose creation was acknowledged.
fn write_until_refused(mesh: &Mesh) -> Vec<String> {
    let names = (0..1_000).map(|number| format!("written-{number}"));
    names.take_while(|name| mesh.run(&["kubectl", "create", "configmap", name]).code == 0).collect()
}

#[test]
fn traffic_goes_on_without_the_control_plane() {
    let Some(mesh) = Mesh::install("survival::traffic_goes_on_without_the_control_plane", Rights::Root)
    else {
        return;
    };
    mesh.open_shop();
    mesh.succeed(&["kubectl", "-n", "istio-system", "scale", "deployment/istiod", "--replicas=0"]);
    mesh.until("the control plane is gone", || {
        mesh.succeed(&["kubectl", "-n", "istio-system", "get", "pods", "-l", "app=istiod", "-o", "name"])
            .is_empty()
    });
    for _ in 0..100 {
        let page = mesh.get("/productpage").expect("answer");
        assert_eq!(page.status, 200, "{page:?}");
    }
    mesh.succeed(&["kubectl", "-n", "istio-system", "scale", "deployment/istiod", "--replicas=1"]);
    mesh.succeed(&["kubectl", "-n", "istio-system", "rollout", "status", "deployment/istiod"]);
    mesh.apply("canary.yaml");
    let ask = || crate::http::get(mesh.ingress, "reviews.example.com", "/reviews/0", &[]);
    mesh.until("a rule made after its return is live", || ask().is_ok_and(|answer| answer.status == 200));
}

#[test]
fn containers_start_after_the_program_was_replaced() {
    let Some(mesh) = Mesh::install("survival::containers_start_after_the_program_was_replaced", Rights::Root)
    else {
        return;
    };
    mesh.open_shop();
    mesh.put_program(env!("CARGO_BIN_EXE_sagene").as_ref());
    mesh.succeed(&["kubectl", "delete", "pod", "-l", "app=details"]);
    mesh.until("a new pod serves", || {
        let pods = mesh.succeed(&["kubectl", "get", "pods", "-l", "app=details"]);
        pods.contains("2/2") && mesh.get("/productpage").is_ok_and(|answer| answer.status == 200)
    });
}

/// The samples end as soon as they are told to, and there is one pod of each: requests are lost unless their clients know of the next pod
/// before the last one ends.
#[test]
fn rolling_restarts_lose_no_request() {
    let Some(mesh) = Mesh::install("survival::rolling_restarts_lose_no_request", Rights::Root) else {
        return;
    };
    mesh.open_shop();
    mesh.served_throughout("while every deployment is restarted", || {
        for deployment in
            ["details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "productpage-v1"]
        {
            mesh.restart(&format!("deployment/{deployment}"));
        }
    });
}
