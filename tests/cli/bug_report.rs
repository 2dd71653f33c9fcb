//! The archive of `bug-report`: what is in it, what is not, and what happens where it cannot be made.

use std::path::Path;
use std::process::Command;

use crate::program::finish;
use crate::server::Server;

const OBJECTS: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\nstringData: {password: swordfish}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shown}\ndata: {color: green}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {containers: [{name: istio-proxy, image: proxy}]}\n";

/// A file of the archive.
fn unpacked(archive: &Path, file: &str) -> String {
    let mut tar = Command::new("tar");
    tar.arg("-xzOf").arg(archive).arg(format!("bug-report/{file}"));
    let output = finish(tar, "");
    assert_eq!(output.code, 0, "{file}: {output:?}");
    output.stdout
}

#[test]
fn a_report_has_the_cluster_and_no_secret() {
    let server = Server::start();
    let file = server.file("objects.yaml", OBJECTS);
    let applied = server.run(&["kubectl", "apply", "-f", file.to_str().expect("path")]);
    assert_eq!(applied.code, 0, "{applied:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().to_str().expect("path");
    let report = ["bug-report", "--output-dir", to, "--dir", to];

    let planned = server.run(&[&report[..], &["--dry-run"]].concat());
    assert_eq!(planned.code, 0, "{planned:?}");
    assert!(planned.stdout.contains("log of container istio-proxy of pod web.default"), "{planned:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "a dry run writes nothing");

    let made = server.run(&report);
    assert_eq!(made.code, 0, "{made:?}");
    let archive = folder.path().join("bug-report.tar.gz");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "what was collected is gone, the archive is there");
    let secrets = unpacked(&archive, "cluster/secrets");
    assert!(secrets.contains("password: '<redacted") || secrets.contains("password: <redacted"), "{secrets}");
    for file in ["cluster/secrets", "cluster/k8s-resources", "cluster/events", "bug-report.log"] {
        let text = unpacked(&archive, file);
        assert!(!text.contains("swordfish") && !text.contains("c3dvcmRmaXNo"), "{file}: {text}");
    }
    assert!(unpacked(&archive, "cluster/k8s-resources").contains("color: green"));
    assert!(unpacked(&archive, "cluster/k8s-cluster-resources").contains("name: kube-system"));
    assert!(unpacked(&archive, "cluster/pods").contains("web"));
    assert!(unpacked(&archive, "versions").contains("clientVersion"));
    assert!(unpacked(&archive, "analyze/allNamespaces/allNamespaces").contains("Looked at"));
    let log = unpacked(&archive, "bug-report.log");
    assert!(log.contains("proxies/default/web/istio-proxy.log"), "what could not be had is named: {log}");

    let full =
        server.run(&[&report[..], &["--full-secrets", "--exclude", "default", "--skip-analyze"]].concat());
    assert_eq!(full.code, 0, "{full:?}");
    assert!(unpacked(&archive, "cluster/secrets").contains("c3dvcmRmaXNo"));
    assert!(!unpacked(&archive, "bug-report.log").contains("proxies/default/web"));
}

#[test]
fn a_report_that_cannot_be_made_is_255_and_mistakes_are_named() {
    let server = Server::start();
    let file = server.file("in-the-way", "");
    let path = file.to_str().expect("path");
    for flag in ["--output-dir", "--dir"] {
        let refused = server.run(&["bug-report", flag, path]);
        assert!(refused.code == 255 && refused.stderr.contains(path), "{flag}: {refused:?}");
    }
    let usage = server.run(&["bug-report", "--duration", "5m", "--start-time", "2026-01-01T00:00:00Z"]);
    assert_eq!(usage.code, 64, "{usage:?}");
    let form = server.run(&["bug-report", "--include", "a/b/c/d"]);
    assert!(form.code == 64 && form.stderr.contains("key=value"), "{form:?}");
    let version = server.run(&["bug-report", "version"]);
    assert!(version.code == 0 && version.stdout.contains("client version"), "{version:?}");
}
