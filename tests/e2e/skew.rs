//! Two versions at once: an older program's cluster and proxies with this one's control plane, then the other way round.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::mesh::{Mesh, Rights, is_whole};
use crate::program::finish;
use crate::skip::skip;

const BUILT: &str = env!("CARGO_BIN_EXE_sagene");

/// Enough for every version of the reviews to be asked many times.
const PAGES: usize = 60;

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

/// What carries a page, besides the gateway.
const SHOP: [&str; 6] =
    ["details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"];

/// The Deployment in front of it.
const GATEWAY: &str = "istio-ingressgateway";

/// `SAGENE_OLDER` names a program of one of the two minor versions before this one.
#[test]
fn an_older_mesh_is_taken_over_without_a_lost_request() {
    let case = "skew::an_older_mesh_is_taken_over_without_a_lost_request";
    let Some(older) = std::env::var_os("SAGENE_OLDER").map(PathBuf::from) else {
        skip(case, "SAGENE_OLDER names no older program");
        return;
    };
    let Some(mut mesh) = Mesh::install_by(&older, case, Rights::Root) else { return };
    let (this, older) = (Shared::new(BUILT.as_ref()), Shared::new(&older));
    mesh.open_shop();
    mesh.served_throughout("this control plane takes over", || run_control_plane(&mesh, Some(&this)));
    is_whole_and_obeys(&mesh, "older proxies, this control plane");
    // How the older one ends pods is not asked here, only what its proxies do when they come up.
    SHOP.iter().for_each(|name| mesh.restart(&format!("deployment/{name}")));
    mesh.wait_for_pods("default", SHOP.len());
    is_whole_and_obeys(&mesh, "older proxies that restarted, this control plane");
    mesh.served_throughout("back to the older control plane", || run_control_plane(&mesh, None));
    is_whole_and_obeys(&mesh, "rolled back");

    // What the older one wrote, this one reads.
    mesh.put_program(BUILT.as_ref());
    mesh.upgrade();
    mesh.wait_for_pods("default", SHOP.len());
    is_whole_and_obeys(&mesh, "all of this program");

    mesh.served_throughout("the older control plane comes back", || run_control_plane(&mesh, Some(&older)));
    is_whole_and_obeys(&mesh, "these proxies, older control plane");
    // How soon the older one tells of endpoints that leave is not asked here, either.
    SHOP.iter().for_each(|name| mesh.restart(&format!("deployment/{name}")));
    mesh.wait_for_pods("default", SHOP.len());
    is_whole_and_obeys(&mesh, "these proxies that restarted, older control plane");
    mesh.served_throughout("this control plane again", || run_control_plane(&mesh, None));
    is_whole_and_obeys(&mesh, "upgraded again");
}

/// As on Kubernetes, where control plane, gateways and sidecars are upgraded by rolling out another image each.
#[test]
fn a_rolling_upgrade_from_an_older_version_loses_no_request() {
    let case = "skew::a_rolling_upgrade_from_an_older_version_loses_no_request";
    let Some(older) = std::env::var_os("SAGENE_OLDER").map(PathBuf::from) else {
        skip(case, "SAGENE_OLDER names no older program");
        return;
    };
    let Some(mesh) = Mesh::install(case, Rights::Root) else { return };
    let older = Shared::new(&older);
    run_control_plane(&mesh, Some(&older));
    run_instead(&mesh, GATEWAY, Some(&older));
    mesh.open_shop();
    run_as_sidecars(&mesh, Some(&older));
    mesh.wait_for_pods("default", SHOP.len());
    is_whole_and_obeys(&mesh, "all of the older program");
    mesh.served_throughout("the control plane is upgraded", || run_control_plane(&mesh, None));
    is_whole_and_obeys(&mesh, "upgraded control plane");
    mesh.served_throughout("the gateway is upgraded", || run_instead(&mesh, GATEWAY, None));
    mesh.served_throughout("the sidecars are upgraded", || run_as_sidecars(&mesh, None));
    is_whole_and_obeys(&mesh, "all of this program");
}

/// A program where every container sees it, whoever runs it there.
struct Shared {
    _folder: TempDir,
    program: PathBuf,
}

impl Shared {
    fn new(program: &Path) -> Self {
        let folder =
            tempfile::Builder::new().prefix("sagene-skew-").tempdir_in("/var/tmp").expect("a folder");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a folder for all");
        // Under this name it is no image's program.
        let at = folder.path().join("another-control-plane");
        std::fs::copy(program, &at).expect("a copy");
        std::fs::set_permissions(&at, Permissions::from_mode(0o755)).expect("a program for all");
        Self { _folder: folder, program: at }
    }
}

/// Lets another program be the control plane; `None` is the cluster's own.
fn run_control_plane(mesh: &Mesh, other: Option<&Shared>) {
    run_instead(mesh, "istiod", other);
}

/// Lets another program be what a Deployment of the control plane's namespace runs.
fn run_instead(mesh: &Mesh, deployment: &str, other: Option<&Shared>) {
    let path = "/spec/template/spec/containers/0/command";
    let value = other.map(|other| json!([other.program]));
    roll(mesh, "istio-system", deployment, path, value);
}

/// Lets another program be the sidecars of the shop, one Deployment after another.
fn run_as_sidecars(mesh: &Mesh, other: Option<&Shared>) {
    let path = "/spec/template/spec/initContainers";
    let value =
        other.map(|other| json!([{"name": "istio-proxy", "image": "auto", "command": [other.program]}]));
    for deployment in SHOP {
        roll(mesh, "default", deployment, path, value.clone());
    }
}

/// Sets a field of a Deployment, or removes it, and waits until its new pods serve.
fn roll(mesh: &Mesh, namespace: &str, deployment: &str, path: &str, value: Option<Value>) {
    let patch = match value {
        Some(value) => json!([{"op": "add", "path": path, "value": value}]),
        None => json!([{"op": "remove", "path": path}]),
    };
    mesh.succeed(&[
        "kubectl",
        "-n",
        namespace,
        "patch",
        "deployment",
        deployment,
        "--type",
        "json",
        "-p",
        &patch.to_string(),
    ]);
    let deployment = format!("deployment/{deployment}");
    mesh.succeed(&["kubectl", "-n", namespace, "rollout", "status", &deployment, "--timeout=180s"]);
}

/// Pages have all of their parts, every proxy took all it was sent, and they do what the control plane of now is told.
fn is_whole_and_obeys(mesh: &Mesh, what: &str) {
    mesh.until(&format!("{what}: the page is there"), || {
        mesh.get("/productpage").is_ok_and(|page| is_whole(&page))
    });
    obeys(mesh, what);
    let pages: Vec<_> = (0..PAGES).map(|_| mesh.get("/productpage")).collect();
    let lacking = pages.iter().filter(|page| !page.as_ref().is_ok_and(is_whole)).count();
    assert_eq!(lacking, 0, "{what}: of {PAGES} pages so many lack something");
    let status = mesh.succeed(&["proxy-status"]);
    assert!(!status.contains("Refused by proxies"), "{what}: {status}");
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
