//! The Node object and its Lease.

use std::net::Ipv6Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{NODE_NAME, field_value};
use crate::api_client::{ApiClient, ApiError, ApplyOptions, ResourceRef};
use crate::network::{Addresses, NODE_ADDRESS_V6, POD_PREFIX, POD_PREFIX_V6};

/// As the kubelet renews it.
const RENEW: Duration = Duration::from_secs(10);
const LEASE_SECONDS: u32 = 40;
const RETRY: Duration = Duration::from_millis(500);
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Registers the node, then renews its lease until it is aborted.
pub(super) async fn run(api: ApiClient, addresses: Addresses) {
    while let Err(error) = register(&api, addresses).await {
        tracing::warn!(%error, "cannot register the node");
        tokio::time::sleep(RETRY).await;
    }
    loop {
        if let Err(error) = renew(&api).await {
            tracing::debug!(%error, "cannot renew the node's lease");
        }
        tokio::time::sleep(RENEW).await;
    }
}

/// Labels of the node, which `nodeSelector` refers to.
pub(super) fn labels() -> Map<String, Value> {
    let labels = [
        ("kubernetes.io/hostname", NODE_NAME),
        ("kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/arch", architecture()),
        ("node-role.kubernetes.io/control-plane", ""),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn register(api: &ApiClient, addresses: Addresses) -> Result<(), ApiError> {
    let ranges = pod_ranges(addresses);
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NODE_NAME, "labels": labels()},
        "spec": {"podCIDR": ranges.first(), "podCIDRs": ranges},
    });
    api.apply(&ResourceRef::NODES, "", NODE_NAME, node, &ApplyOptions::forced("kubelet")).await?;
    api.merge_patch(&ResourceRef::NODES, "", NODE_NAME, "status", json!({"status": status(addresses)}))
        .await
        .map(drop)
}

/// The pods' range of each family.
fn pod_ranges(addresses: Addresses) -> Vec<String> {
    let v6 = addresses.v6.map(|_| {
        let network = u128::from(NODE_ADDRESS_V6) & (u128::MAX << (128 - u32::from(POD_PREFIX_V6)));
        format!("{}/{POD_PREFIX_V6}", Ipv6Addr::from(network))
    });
    std::iter::once(format!("10.244.0.0/{POD_PREFIX}")).chain(v6).collect()
}

fn status(addresses: Addresses) -> Value {
    let now = format!("{:.0}", Timestamp::now());
    let condition = |name: &str, holds: &str, reason: &str, message: &str| json!({"type": name, "status": holds, "reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now});
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = read("/etc/os-release");
    let system = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"');
    let resources = json!({
        "cpu": format!("{:.0}", field_value::machine("cpu").unwrap_or(1.0)),
        "memory": format!("{:.0}Ki", field_value::machine("memory").unwrap_or(0.0) / 1024.0),
        "pods": "1000",
    });
    let mut listed: Vec<Value> = addresses
        .all()
        .map(|address| json!({"type": "InternalIP", "address": address.to_string()}))
        .collect();
    listed.push(json!({"type": "Hostname", "address": NODE_NAME}));
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": listed,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": read("/etc/machine-id"), "systemUUID": "", "bootID": read("/proc/sys/kernel/random/boot_id"),
            "kernelVersion": read("/proc/sys/kernel/osrelease"), "osImage": system,
            "containerRuntimeVersion": format!("sagene://{}", env!("CARGO_PKG_VERSION")),
            "kubeletVersion": format!("v1.34.0+sagene-{}", env!("CARGO_PKG_VERSION")), "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": architecture(),
        },
    })
}

async fn renew(api: &ApiClient) -> Result<(), ApiError> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": NODE_NAME, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": NODE_NAME, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": format!("{:.6}", Timestamp::now())},
    });
    api.apply(&ResourceRef::LEASES, LEASE_NAMESPACE, NODE_NAME, lease, &ApplyOptions::forced("kubelet"))
        .await
        .map(drop)
}
