//! Mistakes: each gets a message with a way out and an exit code, and changes nothing.

use crate::mesh::{Mesh, Rights};
use crate::program::{finish, sagene};

#[test]
fn mistakes_are_named_and_change_nothing() {
    let Some(mesh) = Mesh::install("bad_input::mistakes_are_named_and_change_nothing", Rights::Root) else {
        return;
    };
    let apply = |text: &str| finish(mesh.command(&["kubectl", "apply", "-f", "-"]), text);

    let malformed = apply("apiVersion: v1\nkind: ConfigMap\nmetadata: [name: a\n");
    assert_eq!(malformed.code, 1, "{malformed:?}");
    assert!(malformed.stderr.contains("line"), "{malformed:?}");

    let unknown = apply("apiVersion: networking.istio.io/v1\nkind: VirtuelService\nmetadata: {name: a}\n");
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("VirtuelService"), "{unknown:?}");

    let field = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a], http: [{rout: []}]}\n";
    let refused = apply(field);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("rout"), "{refused:?}");
    let left = mesh.succeed(&["kubectl", "get", "virtualservices,configmaps", "-o", "name"]);
    assert!(!left.contains("/a\n"), "{left}");

    let twice = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: b}\nspec: {egress: [{hosts: [./x.com, ./x.com]}]}\n";
    let warned = apply(twice);
    assert_eq!(warned.code, 0, "{warned:?}");
    assert!(warned.stderr.starts_with("Warning: spec.egress[0].hosts[1]: "), "{warned:?}");

    let missing = mesh.run(&["proxy-config", "routes", "deploy/none"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("none"), "{missing:?}");

    let again = mesh.run(&["install", "--profile", "demo", "-y"]);
    assert_eq!(again.code, 0, "installing twice is no mistake: {again:?}");
    let started = mesh.run(&["cluster", "start"]);
    assert!(started.code == 0 && started.stdout.contains("Already running"), "{started:?}");
    a_report_tells_of_every_proxy(&mesh);
}

fn a_report_tells_of_every_proxy(mesh: &Mesh) {
    let folder = tempfile::tempdir().expect("temporary directory");
    mesh.succeed(&["bug-report", "--output-dir", folder.path().to_str().expect("path")]);
    let archive = folder.path().join("bug-report.tar.gz");
    let listed = finish(tar(&["-tzf"], &archive), "");
    for (folder, files) in [
        (
            "proxies/istio-system/istio-ingressgateway-",
            &["config_dump?include_eds", "certs", "istio-proxy.log"][..],
        ),
        ("istio/istio-system/istiod-", &["debug/syncz", "metrics", "discovery.log"][..]),
    ] {
        for file in files {
            let is_it =
                |line: &str| line.starts_with(&format!("bug-report/{folder}")) && line.ends_with(file);
            assert!(listed.stdout.lines().any(is_it), "{folder}*/{file} in {}", listed.stdout);
        }
    }
    let log = finish(tar(&["-xzO", "bug-report/bug-report.log", "-f"], &archive), "");
    assert_eq!(log.stdout.lines().count(), 1, "nothing was refused: {}", log.stdout);
}

fn tar(arguments: &[&str], archive: &std::path::Path) -> std::process::Command {
    let mut tar = std::process::Command::new("tar");
    tar.args(arguments).arg(archive);
    tar
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").expect("file");
    let mut command = sagene();
    command.env("SAGENE_HOME", &file).args(["install", "--profile", "demo", "-y"]);
    let output = finish(command, "");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains(file.to_str().expect("path")), "{output:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("file"), "in the way");
}

#[test]
fn a_cluster_is_not_started_where_too_few_files_may_be_open() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut command = std::process::Command::new("sh");
    command.env_clear().env("SAGENE_HOME", directory.path().join("home"));
    command.args(["-c", "ulimit -n 64; exec \"$0\" cluster start", env!("CARGO_BIN_EXE_sagene")]);
    let output = finish(command, "");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("64 are allowed and 256 needed; raise the limit with `ulimit -n`"),
        "{output:?}"
    );
}
