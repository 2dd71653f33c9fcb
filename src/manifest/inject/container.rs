//! The `istio-proxy` container, shared by sidecars, injected gateways and rendered gateways.

use serde_json::{Map, Value, json};

use super::PROXY_CONTAINER;
use super::environment::Environment;
use super::scope::Scope;
use super::volumes;

/// `sidecar` or `router`: the role argument of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

/// Builds the container: image, arguments, environment, probes, security context, mounts.
pub(crate) fn proxy_container(scope: &Scope<'_>, role: Role) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), json!(PROXY_CONTAINER));
    container.insert("image".into(), json!(image(scope)));
    if let Some(policy) = scope.text("/global/imagePullPolicy") {
        container.insert("imagePullPolicy".into(), json!(policy));
    }
    let ports = json!([{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}]);
    container.insert("ports".into(), ports);
    container.insert("args".into(), json!(arguments(scope, role)));
    if let Some(lifecycle) = lifecycle(scope, role) {
        container.insert("lifecycle".into(), lifecycle);
    }
    container.insert("env".into(), Value::Array(Environment::of_proxy(scope)));
    if scope.status_port() != "0" {
        insert_probes(&mut container, scope, role);
    }
    container.insert("securityContext".into(), security_context(scope, role));
    container.insert("resources".into(), resources(scope));
    container.insert("volumeMounts".into(), Value::Array(volumes::mounts(scope)));
    Value::Object(container)
}

/// The proxy's image: the annotation, a complete name in `global.proxy.image`, else `<hub>/<image>:<tag>`. There is one image,
/// built from nothing but the binary, so image variants name the same image.
pub(crate) fn image(scope: &Scope<'_>) -> String {
    let name = scope.setting("sidecar.istio.io/proxyImage", "/global/proxy/image", "sagene");
    if name.contains('/') {
        return name;
    }
    let hub = scope.text("/global/hub").unwrap_or_default();
    let tag = scope.text("/global/tag").map(|tag| format!(":{tag}")).unwrap_or_default();
    let separator = if hub.is_empty() { "" } else { "/" };
    format!("{hub}{separator}{name}{tag}")
}

fn arguments(scope: &Scope<'_>, role: Role) -> Vec<String> {
    let domain = scope.text("/global/proxy/clusterDomain").unwrap_or_else(|| "cluster.local".to_owned());
    let level = scope.setting("sidecar.istio.io/logLevel", "/global/proxy/logLevel", "warning");
    let components =
        scope.setting("sidecar.istio.io/componentLogLevel", "/global/proxy/componentLogLevel", "misc:error");
    let mut arguments = vec![
        "proxy".to_owned(),
        if role == Role::Sidecar { "sidecar" } else { "router" }.to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{domain}"),
        format!("--proxyLogLevel={level}"),
        format!("--proxyComponentLogLevel={components}"),
        format!("--log_output_level={}", agent_log_level(scope)),
    ];
    if scope.flag("/global/logAsJson") {
        arguments.push("--log_as_json".to_owned());
    }
    arguments
}

/// Level of the agent's own log, also used by the init container.
pub(super) fn agent_log_level(scope: &Scope<'_>) -> String {
    scope.setting("sidecar.istio.io/agentLogLevel", "/global/logging/level", "default:info")
}

/// Istio calls `pilot-agent`; here it goes through the one program that every image surely has.
fn lifecycle(scope: &Scope<'_>, role: Role) -> Option<Value> {
    let configured = scope
        .value("/global/proxy/lifecycle")
        .filter(|value| value.as_object().is_some_and(|map| !map.is_empty()));
    if let Some(lifecycle) = configured {
        return Some(lifecycle.clone());
    }
    if role == Role::Router {
        return None;
    }
    if scope.native_sidecar {
        let drain = json!(["sagene", "pilot-agent", "request", "--debug-port=15020", "POST", "drain"]);
        return Some(json!({"preStop": {"exec": {"command": drain}}}));
    }
    scope
        .hold_application()
        .then(|| json!({"postStart": {"exec": {"command": ["sagene", "pilot-agent", "wait"]}}}))
}

fn insert_probes(container: &mut Map<String, Value>, scope: &Scope<'_>, role: Role) {
    let number = |annotation: &str, pointer: &str, default: u64| -> u64 {
        scope.setting(annotation, pointer, "").parse().unwrap_or(default)
    };
    let get = json!({"path": "/healthz/ready", "port": 15021});
    // Gateways start behind a Service, which waits for readiness anyway; only sidecars hold back the rest of the pod.
    if role == Role::Sidecar
        && scope.value("/global/proxy/startupProbe/enabled").and_then(Value::as_bool) != Some(false)
    {
        let failures = number("", "/global/proxy/startupProbe/failureThreshold", 600);
        container.insert("startupProbe".into(), json!({
            "httpGet": get, "initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": failures,
        }));
    }
    let prefix = "readiness.status.sidecar.istio.io";
    let initial = if role == Role::Sidecar { 0 } else { 1 };
    container.insert("readinessProbe".into(), json!({
        "httpGet": get,
        "initialDelaySeconds": number(&format!("{prefix}/initialDelaySeconds"), "/global/proxy/readinessInitialDelaySeconds", initial),
        "periodSeconds": number(&format!("{prefix}/periodSeconds"), "/global/proxy/readinessPeriodSeconds", 15),
        "timeoutSeconds": 3,
        "failureThreshold": number(&format!("{prefix}/failureThreshold"), "/global/proxy/readinessFailureThreshold", 4),
    }));
}

fn security_context(scope: &Scope<'_>, role: Role) -> Value {
    let privileged = scope.flag("/global/proxy/privileged");
    let transparent = role == Role::Sidecar && scope.interception_mode() == "TPROXY";
    let bind = scope.annotation("sidecar.istio.io/capNetBindService") == Some("true");
    let mut capabilities = json!({"drop": ["ALL"]});
    let mut add = Vec::new();
    if transparent {
        add.push("NET_ADMIN");
    }
    if bind {
        add.push("NET_BIND_SERVICE");
    }
    if !add.is_empty() {
        capabilities["add"] = json!(add);
    }
    let mut context = json!({
        "allowPrivilegeEscalation": privileged,
        "privileged": privileged,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": true,
        "runAsGroup": 1337,
        "runAsNonRoot": !transparent,
        "runAsUser": if transparent { 0 } else { 1337 },
    });
    if let Some(profile) = seccomp_profile(scope, role) {
        context["seccompProfile"] = profile;
    }
    context
}

/// The configured profile. A gateway's pod is ours alone and fits pod security level `restricted`, which wants one.
fn seccomp_profile(scope: &Scope<'_>, role: Role) -> Option<Value> {
    let configured = scope.value("/global/proxy/seccompProfile").cloned();
    let configured =
        configured.filter(|profile| profile.as_object().is_some_and(|profile| !profile.is_empty()));
    configured.or_else(|| (role == Role::Router).then(|| json!({"type": "RuntimeDefault"})))
}

/// Requests and limits: any of the four annotations replaces the configured ones altogether.
pub(super) fn resources(scope: &Scope<'_>) -> Value {
    let annotated = |pairs: [(&str, &str); 2]| -> Map<String, Value> {
        let entry =
            |(name, key): (&str, &str)| scope.annotation(key).map(|value| (name.to_owned(), json!(value)));
        pairs.into_iter().filter_map(entry).collect()
    };
    let requests =
        annotated([("cpu", "sidecar.istio.io/proxyCPU"), ("memory", "sidecar.istio.io/proxyMemory")]);
    let limits = annotated([
        ("cpu", "sidecar.istio.io/proxyCPULimit"),
        ("memory", "sidecar.istio.io/proxyMemoryLimit"),
    ]);
    if requests.is_empty() && limits.is_empty() {
        return scope.value("/global/proxy/resources").cloned().unwrap_or_else(|| json!({}));
    }
    let mut resources = Map::new();
    for (name, map) in [("requests", requests), ("limits", limits)] {
        if !map.is_empty() {
            resources.insert(name.to_owned(), Value::Object(map));
        }
    }
    Value::Object(resources)
}
