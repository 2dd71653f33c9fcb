//! The mesh that the guides share, as their readers have one: `sagene install --profile demo -y`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::skip::skip;

/// Namespaces and pods that are deleted take their grace periods.
const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with the programs that guides call, and perhaps a mesh.
pub(crate) struct Cluster {
    folder: TempDir,
    installed: bool,
}

/// What a command did.
struct Ran {
    done: bool,
    /// Standard output, then standard error.
    printed: String,
}

impl Cluster {
    /// Installs the demo profile; `None` where this machine does not allow it, which is noted.
    pub(crate) fn install() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("guides", "needs root: guides use ports 80 and 443");
            return None;
        }
        let mut cluster = Self::none();
        let installed = cluster.run(&["install", "--profile", "demo", "-y"]);
        cluster.installed = true;
        assert!(installed.done, "{}", installed.printed);
        Some(cluster)
    }

    /// The programs alone, for a guide that installs a mesh itself.
    pub(crate) fn none() -> Self {
        let folder =
            tempfile::Builder::new().prefix("sagene-guides-").tempdir().expect("temporary directory");
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).expect("a folder for programs");
        let built = env!("CARGO_BIN_EXE_sagene");
        let program = programs.join("sagene");
        std::fs::hard_link(built, &program)
            .or_else(|_| std::fs::copy(built, &program).map(drop))
            .expect("sagene");
        script(&programs.join("kubectl"), "exec sagene kubectl \"$@\"");
        script(&programs.join("istioctl"), "exec sagene \"$@\"");
        let here = |folder: &Path| folder.join("curl").is_file();
        if !std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| here(&folder)) {
            script(&programs.join("curl"), "exec sagene sample curl \"$@\"");
        }
        Self { folder, installed: false }
    }

    /// What a reader's terminal has in its environment.
    pub(crate) fn environment(&self, home: &Path) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let text = |path: &Path| path.display().to_string();
        let state = self.folder.path().join("state");
        let mut variables = vec![
            ("PATH".to_owned(), format!("{}:{path}", text(&self.folder.path().join("bin")))),
            ("HOME".to_owned(), text(home)),
            ("SAGENE_HOME".to_owned(), text(&state)),
            ("TERM".to_owned(), "dumb".to_owned()),
        ];
        // A copy, since guides change its namespace and run beside each other.
        let own = home.join(".kubeconfig");
        if self.installed && std::fs::copy(state.join("kubeconfig"), &own).is_ok() {
            variables.push(("KUBECONFIG".to_owned(), text(&own)));
        }
        variables
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(self.folder.path().join("bin/sagene"));
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("NO_COLOR", "1");
        command.env("SAGENE_HOME", self.folder.path().join("state")).args(arguments);
        let output = command.stdin(Stdio::null()).output().expect("sagene runs");
        let printed = [output.stdout, output.stderr].concat();
        Ran { done: output.status.success(), printed: String::from_utf8_lossy(&printed).into_owned() }
    }

    /// Pods and events, for a failure.
    pub(crate) fn state(&self) -> String {
        let pods = self.run(&["kubectl", "get", "pods", "-A", "-o", "wide"]).printed;
        let warnings =
            self.run(&["kubectl", "get", "events", "-A", "--field-selector", "type=Warning"]).printed;
        let warnings: Vec<&str> = warnings.lines().collect();
        format!("{pods}{}", warnings.get(warnings.len().saturating_sub(20)..).unwrap_or_default().join("\n"))
    }

    /// What a guide must not leave behind: namespaces, and configuration of the mesh in the namespaces that stay.
    pub(crate) fn objects(&self) -> String {
        let kinds = "namespaces,gateways.networking.istio.io,virtualservices,destinationrules,serviceentries,sidecars,envoyfilters,\
                     peerauthentications,requestauthentications,authorizationpolicies,telemetries,ingresses";
        let listed = self.run(&["kubectl", "get", kinds, "-A", "-o", "name"]);
        let mut names: Vec<&str> = listed.printed.lines().collect();
        names.sort_unstable();
        names.join("\n")
    }

    /// Waits until nothing of the guides is left.
    pub(crate) fn until_as_before(&self, before: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.objects();
            if now == before {
                return;
            }
            assert!(Instant::now() < deadline, "the guides left\n{now}\nwhere there was\n{before}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn script(path: &Path, commands: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{commands}\n")).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a script that runs");
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A guide that installs a mesh itself may have stopped half way.
        let removed = self.run(&["uninstall", "--purge", "-y"]);
        if self.installed && !std::thread::panicking() {
            assert!(removed.done, "{}", removed.printed);
        }
    }
}
