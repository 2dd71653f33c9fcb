//! Mutual TLS: who has no certificate of the mesh is not let in, and another authority takes over without a lost request.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use serde_json::Value;

use crate::mesh::{Mesh, Rights};
use crate::skip::skip;

const CASE: &str = "mutual_tls::strict_refuses_strangers_and_outlives_its_authority";

#[test]
fn strict_refuses_strangers_and_outlives_its_authority() {
    let Some(mesh) = Mesh::install(CASE, Rights::Root) else { return };
    mesh.open_shop();
    mesh.apply("client.yaml");
    mesh.wait_for_pods("default", 7);
    let ask = || {
        let curl = [
            "curl",
            "-s",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "http://details:9080/details/0",
        ];
        mesh.run(&[&["kubectl", "exec", "deploy/outsider", "--"], &curl[..]].concat())
    };
    let permitted = ask();
    assert_eq!((permitted.code, permitted.stdout.as_str()), (0, "200"), "{permitted:?}");

    mesh.apply("strict.yaml");
    mesh.until("plain text is refused", || ask().code != 0);
    for _ in 0..20 {
        let page = mesh.get("/productpage").expect("answer");
        assert_eq!(page.status, 200, "meshed traffic goes on: {page:?}");
        assert!(page.body.contains("Book Details"), "{page:?}");
        assert_ne!(ask().code, 0, "refused once is refused always");
    }
    an_authority_is_plugged_in(&mesh);

    mesh.succeed(&["kubectl", "-n", "istio-system", "delete", "peerauthentication", "default"]);
    mesh.until("plain text is let in again", || ask().code == 0);
}

/// A root and an intermediate made by hand become the mesh's while the page is asked for without a pause.
fn an_authority_is_plugged_in(mesh: &Mesh) {
    let folder = mesh.program().with_file_name("authority");
    std::fs::create_dir_all(&folder).expect("a folder");
    if Command::new("openssl").arg("version").output().is_err() {
        skip(CASE, "openssl is not installed: no authority is plugged in");
        return;
    }
    make_authority(&folder);
    let root = std::fs::read_to_string(folder.join("root-cert.pem")).expect("the root");
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost: Vec<String> = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut lost = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answer = mesh.get("/productpage");
                asked.fetch_add(1, Ordering::Relaxed);
                if !answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                    lost.push(format!("{answer:?}"));
                }
            }
            lost
        });
        plug_in(mesh, &folder);
        for workload in ["deploy/details-v1", "deploy/productpage-v1"] {
            mesh.until("a sidecar serves the chain that was plugged in", || {
                chain_of(mesh, workload).is_some_and(|chain| {
                    chain.matches("BEGIN CERTIFICATE").count() == 3
                        && chain.trim_end().ends_with(root.trim_end())
                })
            });
        }
        mesh.succeed(&["kubectl", "delete", "pod", "-l", "app=ratings"]);
        mesh.wait_for_pods("default", 7);
        done.store(true, Ordering::Relaxed);
        asking.join().expect("the client ends")
    });
    assert!(asked.into_inner() > 20, "hardly anything was asked");
    assert!(lost.is_empty(), "lost {}: {}", lost.len(), lost[0]);
    let trusted = mesh.succeed(&[
        "kubectl",
        "get",
        "configmap",
        "istio-ca-root-cert",
        "-o",
        "jsonpath={.data.root-cert\\.pem}",
    ]);
    assert!(trusted.starts_with(root.trim_end()), "{trusted}");
    assert_eq!(
        trusted.matches("BEGIN CERTIFICATE").count(),
        2,
        "the old root is trusted for a while: {trusted}"
    );
}

/// What openssl makes of Istio's Makefile for plugged-in certificates: a root, and an intermediate for one cluster.
fn make_authority(folder: &Path) {
    let script = r#"
        extensions() { printf '%s\n' "basicConstraints=critical,CA:true" "keyUsage=critical,digitalSignature,keyCertSign,cRLSign" "subjectKeyIdentifier=hash"; }
        openssl genrsa -out root-key.pem 2048
        openssl req -new -sha256 -key root-key.pem -subj "/O=Istio/CN=Root CA" -out root.csr
        openssl x509 -req -sha256 -days 30 -signkey root-key.pem -in root.csr -extfile <(extensions) -out root-cert.pem
        openssl genrsa -out ca-key.pem 2048
        openssl req -new -sha256 -key ca-key.pem -subj "/O=Istio/CN=Intermediate CA/L=cluster1" -out ca.csr
        openssl x509 -req -sha256 -days 20 -CA root-cert.pem -CAkey root-key.pem -CAcreateserial -in ca.csr -extfile <(extensions) -out ca-cert.pem
        cat ca-cert.pem root-cert.pem > cert-chain.pem
    "#;
    let made = Command::new("bash").args(["-ec", script]).current_dir(folder).output().expect("bash");
    assert!(made.status.success(), "{made:?}");
}

fn plug_in(mesh: &Mesh, folder: &Path) {
    let file = |name: &str| format!("--from-file={}", folder.join(name).display());
    let files = ["ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"].map(file);
    let mut arguments = vec!["kubectl", "-n", "istio-system", "create", "secret", "generic", "cacerts"];
    arguments.extend(files.iter().map(String::as_str));
    mesh.succeed(&arguments);
}

/// The certificates that a proxy serves, PEM.
fn chain_of(mesh: &Mesh, workload: &str) -> Option<String> {
    let shown = mesh.run(&["proxy-config", "secret", workload, "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).ok()?;
    let secrets = shown["dynamicActiveSecrets"].as_array()?;
    let own = secrets.iter().find(|secret| secret["name"] == "default")?;
    let chain = own["secret"]["tlsCertificate"]["certificateChain"]["inlineBytes"].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(chain).ok()?;
    String::from_utf8(bytes).ok()
}
