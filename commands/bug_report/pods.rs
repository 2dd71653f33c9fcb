//! What to ask pods for: the control plane's views and logs, the proxies' state and logs.

use serde_json::Value;

use super::settings::Settings;
use super::step::{Source, Step};
use crate::kubernetes::{PROXY, PodName, text};

/// Container of the control plane.
const CONTROL_PLANE: &str = "discovery";
/// Port of the control plane's views, unless an annotation says otherwise.
const MONITORING: u16 = 15014;
/// Views of the control plane that need no parameter; one that it does not have is noted.
const VIEWS: [&str; 17] = [
    "adsz",
    "authorizationz",
    "cachez",
    "clusterz",
    "configz",
    "endpointShardz",
    "inject",
    "instancesz",
    "krtz",
    "mcsz",
    "mesh",
    "networkz",
    "push_status",
    "registryz",
    "resourcesz",
    "syncz",
    "telemetryz",
];
/// What a proxy's admin interface is asked for.
const ADMIN: [&str; 8] = [
    "certs",
    "clusters",
    "config_dump?include_eds",
    "listeners",
    "memory",
    "server_info",
    "stats/prometheus",
    "runtime",
];

/// Everything about the chosen pods.
pub(super) fn steps(pods: &[Value], istio_namespace: &str, settings: &Settings) -> Vec<Step> {
    let mut steps = Vec::new();
    for pod in pods {
        if settings.wants_container(pod, PROXY) && has(pod, PROXY) {
            proxy(pod, settings, &mut steps);
        }
        if is_control_plane(pod, istio_namespace) && settings.wants_container(pod, CONTROL_PLANE) {
            control_plane(pod, &mut steps);
        }
    }
    steps
}

/// For the user: the pods and which of their containers are asked.
pub(super) fn listed(pods: &[Value]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for pod in pods {
        for container in [CONTROL_PLANE, PROXY].into_iter().filter(|container| has(pod, container)) {
            lines.push(format!(
                "{}/{}/{container}\n",
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name")
            ));
        }
    }
    lines.sort();
    if lines.is_empty() { "none\n".to_owned() } else { lines.concat() }
}

fn proxy(pod: &Value, settings: &Settings, steps: &mut Vec<Step>) {
    let name = name_of(pod);
    let folder = format!("proxies/{}/{}", name.namespace, name.name);
    logs(pod, PROXY, &format!("{folder}/{PROXY}"), steps);
    if text(pod, "/status/phase") != "Running" {
        return;
    }
    if !settings.skip_proxy_debug {
        for path in ADMIN {
            let file = format!("{folder}/{path}");
            steps.push(Step::http(file, &name, settings.proxy_admin_port, &format!("/{path}")));
        }
    }
    if !settings.skip_netstat {
        let program = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let programs = vec![
            program(&["netstat", "-natpw"]),
            program(&["cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp"]),
        ];
        let source = Source::Exec { pod: name.clone(), container: PROXY.to_owned(), programs };
        steps.push(Step { file: format!("{folder}/netstat"), source });
    }
    if !settings.skip_coredumps {
        let source = Source::Cores { pod: name, container: PROXY.to_owned() };
        steps.push(Step { file: format!("{folder}/cores"), source });
    }
}

fn control_plane(pod: &Value, steps: &mut Vec<Step>) {
    let name = name_of(pod);
    let folder = format!("istio/{}/{}", name.namespace, name.name);
    logs(pod, CONTROL_PLANE, &format!("{folder}/{CONTROL_PLANE}"), steps);
    if text(pod, "/status/phase") != "Running" {
        return;
    }
    let port = text(pod, "/metadata/annotations/prometheus.io~1port").parse().unwrap_or(MONITORING);
    for view in VIEWS {
        steps.push(Step::http(format!("{folder}/debug/{view}"), &name, port, &format!("/debug/{view}")));
    }
    steps.push(Step::http(format!("{folder}/metrics"), &name, port, "/metrics"));
    steps.push(Step::http(format!("{folder}/version"), &name, port, "/version"));
}

fn logs(pod: &Value, container: &str, file: &str, steps: &mut Vec<Step>) {
    let mut push = |previous: bool, file: String| {
        let source = Source::Log { pod: name_of(pod), container: container.to_owned(), previous };
        steps.push(Step { file, source });
    };
    push(false, format!("{file}.log"));
    if restarted(pod, container) {
        push(true, format!("{file}.previous.log"));
    }
}

fn restarted(pod: &Value, container: &str) -> bool {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = lists.into_iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
    statuses
        .filter(|status| text(status, "/name") == container)
        .any(|status| status["restartCount"].as_i64().is_some_and(|count| count > 0))
}

fn has(pod: &Value, container: &str) -> bool {
    let lists = ["/spec/initContainers", "/spec/containers"];
    let containers =
        lists.into_iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
    containers.into_iter().any(|entry| text(entry, "/name") == container)
}

fn is_control_plane(pod: &Value, istio_namespace: &str) -> bool {
    text(pod, "/metadata/namespace") == istio_namespace
        && text(pod, "/metadata/labels/app") == "istiod"
        && has(pod, CONTROL_PLANE)
}

fn name_of(pod: &Value) -> PodName {
    PodName {
        name: text(pod, "/metadata/name").to_owned(),
        namespace: text(pod, "/metadata/namespace").to_owned(),
    }
}
