//! An installed mesh that is removed with the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::program::{Output, finish, sagene_at};
use crate::skip::skip;

/// Long enough for a machine that is busy with other cases; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(180);

const INSTALL: [&str; 4] = ["install", "--profile", "demo", "-y"];

/// Whose rights the cluster runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The machine's root.
    Root,
    /// A user namespace.
    User,
}

/// A state directory, and what runs in it.
pub(crate) struct Mesh {
    directory: TempDir,
    /// Where the ingress gateway listens, as `install` printed it.
    pub(crate) ingress: SocketAddr,
}

impl Mesh {
    /// Installs the demo profile; `None` where this machine does not allow it, which is noted.
    pub(crate) fn install(case: &str, rights: Rights) -> Option<Self> {
        Self::install_by(env!("CARGO_BIN_EXE_sagene").as_ref(), case, rights)
    }

    /// The same by another program, whose mesh it then is.
    pub(crate) fn install_by(program: &Path, case: &str, rights: Rights) -> Option<Self> {
        let root = nix::unistd::geteuid().is_root();
        if rights == Rights::Root && !root {
            skip(case, "needs root");
            return None;
        }
        let directory =
            tempfile::Builder::new().prefix("sagene-e2e-").tempdir().expect("temporary directory");
        let mut mesh = Self { directory, ingress: SocketAddr::from(([127, 0, 0, 1], 0)) };
        mesh.put_program(program);
        if rights == Rights::User && root {
            let started = mesh.run(&["cluster", "start", "--user-namespace"]);
            if started.code != 0 {
                skip(case, started.stderr.lines().next().unwrap_or("no user namespaces"));
                return None;
            }
        }
        let installed = mesh.run(&INSTALL);
        if !root && installed.code != 0 && installed.stderr.contains("user namespace") {
            skip(case, installed.stderr.lines().next().unwrap_or("no user namespaces"));
            return None;
        }
        assert_eq!(installed.code, 0, "{installed:?}");
        assert!(installed.stderr.contains("✔ Installation complete"), "{installed:?}");
        mesh.ingress = ingress(&installed.stdout);
        Some(mesh)
    }

    /// Has this program take over from what was installed.
    pub(crate) fn upgrade(&mut self) {
        self.ingress = ingress(&self.succeed(&["upgrade", "--profile", "demo", "-y"]));
    }

    /// Makes the bookshop run with sidecars and reachable through the gateway.
    pub(crate) fn open_shop(&self) {
        self.succeed(&["kubectl", "label", "namespace", "default", "istio-injection=enabled"]);
        self.apply("bookshop.yaml");
        self.wait_for_pods("default", 6);
        self.apply("gateway.yaml");
        // The page itself is served before its sidecar knows of the services that its parts come from.
        self.until("the page is served with all of its parts", || {
            self.get("/productpage").is_ok_and(|page| is_whole(&page))
        });
    }

    /// The state directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The file that this mesh's commands run.
    pub(crate) fn program(&self) -> PathBuf {
        self.directory.path().join("sagene")
    }

    /// Replaces that file. What runs already goes on with the one before.
    pub(crate) fn put_program(&self, program: &Path) {
        let _absent = std::fs::remove_file(self.program());
        std::fs::hard_link(program, self.program())
            .or_else(|_| std::fs::copy(program, self.program()).map(drop))
            .expect("a program of this mesh's own");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = sagene_at(self.program());
        command.env("SAGENE_HOME", self.home()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments), "")
    }

    /// Runs a command that has to succeed, and returns its stdout.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output.stdout
    }

    /// Applies one of the manifests beside this file.
    pub(crate) fn apply(&self, manifest: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/manifests").join(manifest);
        self.succeed(&["kubectl", "apply", "-f", path.to_str().expect("path")]);
    }

    /// Waits until that many pods run and every container in them is ready, the sidecar among them.
    pub(crate) fn wait_for_pods(&self, namespace: &str, count: usize) {
        self.until("pods are ready", || {
            let list = self.run(&["kubectl", "-n", namespace, "get", "pods", "-o", "json"]);
            let list: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
            let pods = list["items"].as_array().cloned().unwrap_or_default();
            pods.len() == count && pods.iter().all(ready)
        });
    }

    /// Restarts a deployment of the default namespace, and waits until its new pods serve.
    pub(crate) fn restart(&self, deployment: &str) {
        self.succeed(&["kubectl", "rollout", "restart", deployment]);
        self.succeed(&["kubectl", "rollout", "status", deployment, "--timeout=180s"]);
    }

    /// Asks for the page, again and again while `change` happens: it has to be whole every time.
    pub(crate) fn served_throughout(&self, what: &str, change: impl FnOnce()) {
        let over = AtomicBool::new(false);
        let lost = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut lost = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    match self.get("/productpage") {
                        Ok(page) if is_whole(&page) => {}
                        failed => lost.push(failed),
                    }
                }
                lost
            });
            let told = Told(&over);
            change();
            drop(told);
            asking.join().expect("the client ends")
        });
        assert!(lost.is_empty(), "{what}: {} requests were lost, the first: {:?}", lost.len(), lost[0]);
    }

    /// Asks the ingress gateway.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<Answer> {
        http::get(self.ingress, "shop.example.com", path, &[])
    }

    /// Waits for a condition; its name is the failure.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", self.state());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn state(&self) -> String {
        let pods = self.run(&["kubectl", "get", "pods", "-A"]).stdout;
        let events = self.run(&["kubectl", "get", "events", "-A"]).stdout;
        let log = std::fs::read_to_string(self.home().join("daemon.log")).unwrap_or_default();
        format!("{pods}\n{events}\n{log}")
    }
}

/// Sets a flag when it goes, also when the test fails meanwhile.
struct Told<'f>(&'f AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// True where the page has the parts that come from other services.
pub(crate) fn is_whole(page: &Answer) -> bool {
    page.status == 200 && ["Book Details", "Reviews served by"].iter().all(|part| page.body.contains(part))
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let removed = self.run(&["uninstall", "--purge", "-y"]);
        if !std::thread::panicking() {
            assert_eq!(removed.code, 0, "{removed:?}");
        }
    }
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    let proxied = pod["spec"]["initContainers"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|container| container["name"] == "istio-proxy");
    let excused = pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false";
    conditions.into_iter().flatten().any(ready) && (proxied || excused)
}

/// From `istio-ingressgateway: http://127.96.0.1:8080`.
fn ingress(stdout: &str) -> SocketAddr {
    let line = stdout.lines().find_map(|line| line.strip_prefix("istio-ingressgateway: http://"));
    let address = line.unwrap_or_else(|| panic!("no address of the ingress gateway in {stdout:?}"));
    address.parse().or_else(|_| format!("{address}:80").parse()).expect("an address")
}
