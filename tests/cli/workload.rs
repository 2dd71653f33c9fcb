//! `experimental workload`: the files with which a workload outside the cluster joins.

use std::os::unix::fs::PermissionsExt;

use crate::program::{finish, sagene};
use crate::server::Server;

const INSTALLATION: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: vm}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop, namespace: vm}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: example.org
    defaultConfig:
      discoveryAddress: istiod.istio-system.svc:15012
      proxyMetadata: {KEPT: "yes"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data:
  values: '{"global": {"multiCluster": {"clusterName": "east"}}}'
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-ca-root-cert, namespace: vm}
data: {root-cert.pem: the root}
---
apiVersion: v1
kind: Service
metadata: {name: istio-eastwestgateway, namespace: istio-system}
spec: {externalIPs: [192.0.2.7], ports: [{port: 15012}]}
"#;

const GROUP: &str = r#"
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: shop, namespace: vm}
spec:
  metadata:
    labels: {app: shop, version: v2}
    annotations: {proxy.istio.io/config: "holdApplicationUntilProxyStarts: true"}
  template: {serviceAccount: shop, network: vms, ports: {http: 8080}}
  probe: {periodSeconds: 5, httpGet: {port: 8080, path: /ready}}
"#;

#[test]
fn a_group_is_printed_and_is_valid() {
    let mut command = sagene();
    command.args(["x", "workload", "group", "create", "--name", "foo", "--namespace", "bar"]);
    command.args(["--labels", "app=foo,version=1", "--ports", "grpc=3550,http=8080", "--annotations", "a=1"]);
    let output = finish(command, "");
    assert_eq!(output.code, 0, "{output:?}");
    for line in
        ["kind: WorkloadGroup", "  name: foo", "  namespace: bar", "      version: '1'", "      grpc: 3550"]
    {
        assert!(output.stdout.lines().any(|it| it.replace('"', "'") == line), "{line}: {output:?}");
    }
    let mut validate = sagene();
    validate.args(["validate", "-f", "-"]);
    assert_eq!(finish(validate, &output.stdout).code, 0);
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for (arguments, said) in [
        (&["group", "create", "-n", "a"][..], "expecting a workload name"),
        (&["group", "create", "--name", "a"], "expecting a workload namespace"),
        (&["group", "create", "--name", "a", "-n", "b", "-p", "http=web"], "is no port"),
        (&["group", "create", "--name", "a", "-n", "b", "-l", "app=a b"], "spec.metadata.labels"),
        (
            &["entry", "configure", "-o", "x"],
            "expecting a WorkloadGroup artifact file or the name and namespace",
        ),
        (&["entry", "configure", "-f", "x"], "expecting an output directory"),
        (&["entry", "configure", "-f", "x", "-o", "y", "--ingressIP", "gateway"], "--ingressIP"),
    ] {
        let mut command = sagene();
        command.args(["x", "workload"]).args(arguments);
        let output = finish(command, "");
        assert!(output.code != 0 && output.stderr.contains(said), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_workload_gets_its_files() {
    let server = Server::start();
    let installation = server.file("installation.yaml", INSTALLATION);
    let applied = server.run(&["kubectl", "apply", "-f", &installation.to_string_lossy()]);
    assert_eq!(applied.code, 0, "{applied:?}");
    let group = server.file("group.yaml", GROUP);
    let folder = group.with_file_name("files");
    let output = server.run(&[
        "x",
        "workload",
        "entry",
        "configure",
        "-f",
        &group.to_string_lossy(),
        "-o",
        &folder.to_string_lossy(),
        "--autoregister",
        "--internalIP",
        "10.0.0.9",
    ]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("was successful"), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    let variables = read("cluster.env");
    for line in [
        "ISTIO_INBOUND_PORTS=8080",
        "ISTIO_LOCAL_EXCLUDE_PORTS=22,15090,15021,15020",
        "ISTIO_META_AUTO_REGISTER_GROUP=shop",
        "ISTIO_META_CLUSTER_ID=east",
        "ISTIO_META_DNS_CAPTURE=true",
        "ISTIO_META_NETWORK=vms",
        "ISTIO_NAMESPACE=vm",
        "ISTIO_SERVICE=shop.vm",
        "ISTIO_SERVICE_CIDR='*'",
        "ISTIO_SVC_IP=10.0.0.9",
        "KEPT=yes",
        "SERVICE_ACCOUNT=shop",
        "TRUST_DOMAIN=example.org",
    ] {
        assert!(variables.lines().any(|it| it == line), "{line}: {variables}");
    }
    let mesh: serde_json::Value = serde_yaml::from_str(&read("mesh.yaml")).expect("YAML");
    let config = &mesh["defaultConfig"];
    assert_eq!(config["discoveryAddress"], "istiod.istio-system.svc:15012");
    assert_eq!(config["holdApplicationUntilProxyStarts"], true);
    assert_eq!(config["readinessProbe"]["httpGet"]["path"], "/ready");
    assert_eq!(config["proxyMetadata"]["CANONICAL_REVISION"], "v2");
    assert_eq!(read("root-cert.pem"), "the root");
    assert_eq!(read("hosts"), "192.0.2.7 istiod.istio-system.svc\n");
    assert_eq!(read("istio-token").split('.').count(), 3, "a signed token");
    let mode = std::fs::metadata(folder.join("istio-token")).expect("the token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others must not read the token");
}

#[test]
fn what_the_cluster_lacks_is_named_and_nothing_is_written() {
    let server = Server::start();
    let installation = server.file("installation.yaml", INSTALLATION);
    let applied = server.run(&["kubectl", "apply", "-f", &installation.to_string_lossy()]);
    assert_eq!(applied.code, 0, "{applied:?}");
    let folder = installation.with_file_name("files");
    for (change, said) in [
        (("namespace: vm", "namespace: nowhere"), "istio-ca-root-cert was not found in namespace nowhere"),
        (("serviceAccount: shop", "serviceAccount: nobody"), "service account nobody in namespace vm"),
        (("kind: WorkloadGroup", "kind: Gateway"), "Gateway"),
    ] {
        let group = server.file("group.yaml", &GROUP.replace(change.0, change.1));
        let (group, folder) = (group.to_string_lossy(), folder.to_string_lossy());
        let output = server.run(&["x", "workload", "entry", "configure", "-f", &group, "-o", &folder]);
        assert!(output.code == 1 && output.stderr.contains(said), "{change:?}: {output:?}");
    }
    assert!(!folder.exists());
}
