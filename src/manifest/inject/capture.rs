//! The init container: `istio-init` installs the traffic capture, `istio-validation` checks one that a CNI plug-in installed.

use serde_json::{Value, json};

use super::container::{agent_log_level, image, resources};
use super::scope::{Scope, scalar};
use super::{INIT_CONTAINER, VALIDATION_CONTAINER};

const TRAFFIC: &str = "traffic.sidecar.istio.io";

/// The container, or none when nothing is captured (`interceptionMode: NONE`).
pub(super) fn init_container(scope: &Scope<'_>) -> Option<Value> {
    let mode = scope.interception_mode();
    if mode == "NONE" {
        return None;
    }
    let cni = scope.flag("/pilot/cni/enabled");
    let mut container = json!({
        "name": if cni { VALIDATION_CONTAINER } else { INIT_CONTAINER },
        "image": image(scope),
        "args": arguments(scope, &mode, cni),
        "resources": resources(scope),
        "securityContext": security_context(scope, cni),
    });
    if let Some(policy) = scope.text("/global/imagePullPolicy") {
        container["imagePullPolicy"] = json!(policy);
    }
    let env: Vec<Value> =
        scope.proxy_metadata().map(|(name, value)| json!({"name": name, "value": value})).collect();
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    Some(container)
}

/// Flags of `istio-iptables`, unchanged: the program behind them writes nftables rules.
fn arguments(scope: &Scope<'_>, mode: &str, cni: bool) -> Vec<String> {
    let mesh_port = |key: &str, default: &str| scope.mesh.get(key).map_or_else(|| default.to_owned(), scalar);
    let traffic = |name: &str, pointer: &str, default: &str| {
        scope.setting(&format!("{TRAFFIC}/{name}"), pointer, default)
    };
    let mut arguments: Vec<String> = vec!["istio-iptables".to_owned()];
    let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    flag("-p", mesh_port("proxyListenPort", "15001"));
    flag("-z", mesh_port("proxyInboundListenPort", "15006"));
    flag("-u", "1337".to_owned());
    flag("-m", mode.to_owned());
    flag("-i", traffic("includeOutboundIPRanges", "/global/proxy/includeIPRanges", "*"));
    flag("-x", traffic("excludeOutboundIPRanges", "/global/proxy/excludeIPRanges", ""));
    flag("-b", traffic("includeInboundPorts", "/global/proxy/includeInboundPorts", "*"));
    flag("-d", excluded_inbound_ports(scope));
    for (name, key, pointer) in [
        ("-q", "includeOutboundPorts", "/global/proxy/includeOutboundPorts"),
        ("-o", "excludeOutboundPorts", "/global/proxy/excludeOutboundPorts"),
    ] {
        let value = traffic(key, pointer, "");
        if !value.is_empty() {
            flag(name, value);
        }
    }
    // No setting of the installation stands behind this one.
    if let Some(interfaces) = scope.annotation("traffic.sidecar.istio.io/excludeInterfaces") {
        flag("-c", interfaces.to_owned());
    }
    let interfaces = scope.annotation("istio.io/reroute-virtual-interfaces");
    if let Some(interfaces) =
        interfaces.or_else(|| scope.annotation("traffic.sidecar.istio.io/kubevirtInterfaces"))
    {
        flag("-k", interfaces.to_owned());
    }
    arguments.push(format!("--log_output_level={}", agent_log_level(scope)));
    if scope.flag("/global/logAsJson") {
        arguments.push("--log_as_json".to_owned());
    }
    if cni {
        arguments.extend(["--run-validation".to_owned(), "--skip-rule-apply".to_owned()]);
    }
    arguments
}

/// `15090,15021,<status port>` and whatever the pod excludes; the proxy's own ports are never captured.
fn excluded_inbound_ports(scope: &Scope<'_>) -> String {
    let mut ports = vec!["15090".to_owned(), "15021".to_owned()];
    let status = scope.status_port();
    if status != "0" {
        ports.push(status);
    }
    let wished =
        scope.setting(&format!("{TRAFFIC}/excludeInboundPorts"), "/global/proxy/excludeInboundPorts", "");
    for port in wished.split(',').map(str::trim).filter(|port| !port.is_empty()) {
        if !ports.iter().any(|known| known == port) {
            ports.push(port.to_owned());
        }
    }
    ports.join(",")
}

fn security_context(scope: &Scope<'_>, cni: bool) -> Value {
    let privileged = scope.flag("/global/proxy/privileged");
    let mut context = json!({
        "allowPrivilegeEscalation": privileged,
        "privileged": privileged,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": cni,
        "runAsGroup": if cni { 1337 } else { 0 },
        "runAsNonRoot": cni,
        "runAsUser": if cni { 1337 } else { 0 },
    });
    if !cni {
        context["capabilities"]["add"] = json!(["NET_ADMIN", "NET_RAW"]);
    }
    context
}
