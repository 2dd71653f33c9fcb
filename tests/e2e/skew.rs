//! Two versions at once: an older program's cluster and proxies with this one's control plane, then the other way round.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::mesh::{Mesh, Rights, is_whole};
use crate::program::finish;
use crate::skip::skip;

const BUILT: &str = env!("CARGO_BIN_EXE_sagene");

/// Nobody may have the page while this is in force.
const DENY: &str = r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: default }
spec:
  selector: { matchLabels: { app: productpage } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/productpage"] } }] }]
"#;

/// `SAGENE_OLDER` names a program of this minor version or of the two before it.
#[test]
fn an_older_mesh_is_taken_over_without_a_lost_request() {
    let case = "skew::an_older_mesh_is_taken_over_without_a_lost_request";
    let Some(older) = std::env::var_os("SAGENE_OLDER").map(PathBuf::from) else {
        skip(case, "SAGENE_OLDER names no older program");
        return;
    };
    let Some(mut mesh) = Mesh::install_by(&older, case, Rights::Root) else { return };
    mesh.open_shop();
    mesh.served_throughout("this control plane takes over", || {
        run_control_plane(&mesh, Some(BUILT.as_ref()))
    });
    obeys(&mesh, "older proxies, this control plane");
    mesh.restart("deployment/details-v1");
    // How the older one ends pods is not asked here.
    mesh.wait_for_pods("default", 6);
    mesh.served_throughout("back to the older control plane", || run_control_plane(&mesh, None));
    obeys(&mesh, "rolled back");

    // What the older one wrote, this one reads.
    mesh.succeed(&["cluster", "stop"]);
    mesh.put_program(BUILT.as_ref());
    mesh.succeed(&["cluster", "start"]);
    mesh.reinstall();
    mesh.until("the page is back with this program", || {
        mesh.get("/productpage").is_ok_and(|page| is_whole(&page))
    });
    obeys(&mesh, "all of this program");

    mesh.served_throughout("the older control plane comes back", || run_control_plane(&mesh, Some(&older)));
    obeys(&mesh, "these proxies, older control plane");
    mesh.restart("deployment/details-v1");
    mesh.until("a new proxy serves", || mesh.get("/productpage").is_ok_and(|page| is_whole(&page)));
}

/// Lets another program be the control plane; `None` is the cluster's own.
fn run_control_plane(mesh: &Mesh, program: Option<&Path>) {
    let path = "/spec/template/spec/containers/0/command";
    let patch = match program {
        Some(program) => json!([{"op": "add", "path": path, "value": [program]}]),
        None => json!([{"op": "remove", "path": path}]),
    };
    let istiod = ["kubectl", "-n", "istio-system"];
    let patched = ["patch", "deployment", "istiod", "--type", "json", "-p", &patch.to_string()];
    mesh.succeed(&[&istiod[..], &patched[..]].concat());
    let finished = ["rollout", "status", "deployment/istiod", "--timeout=180s"];
    mesh.succeed(&[&istiod[..], &finished[..]].concat());
}

/// The proxies do what the control plane of now is told.
fn obeys(mesh: &Mesh, what: &str) {
    let applied = finish(mesh.command(&["kubectl", "apply", "-f", "-"]), DENY);
    assert_eq!(applied.code, 0, "{applied:?}");
    mesh.until(&format!("{what}: a policy is in force"), || {
        mesh.get("/productpage").is_ok_and(|page| page.status == 403)
    });
    mesh.succeed(&["kubectl", "delete", "authorizationpolicy", "nobody"]);
    mesh.until(&format!("{what}: a policy is gone"), || {
        mesh.get("/productpage").is_ok_and(|page| is_whole(&page))
    });
}
