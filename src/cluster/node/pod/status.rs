//! The pod's status as Kubernetes shows it, computed from what is known of its containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::PodContext;
use crate::node::container_state::{ContainerRecord, State, Terminated};
use crate::node::pod_spec::Container;
use crate::node::quantity;

/// `status` as of now.
pub(super) fn of(pod: &PodContext) -> Value {
    let records = pod.board.all();
    let statuses = |containers: &[Container], init: bool| {
        let known =
            containers.iter().filter_map(|container| Some((container, records.get(&container.name)?)));
        known.map(|(container, record)| container_status(container, record, init)).collect::<Vec<Value>>()
    };
    let verdict = pod.verdict();
    let initialized = pod.spec.init_containers.iter().all(|container| {
        records.get(&container.name).is_none_or(|record| {
            if container.is_sidecar() {
                record.started
            } else {
                matches!(&record.state, State::Terminated(end) if end.exit_code == 0)
            }
        })
    });
    let ready = |containers: &[Container]| {
        containers.iter().all(|container| {
            records.get(&container.name).is_some_and(|record| record.is_running() && record.ready)
        })
    };
    let sidecars: Vec<Container> =
        pod.spec.init_containers.iter().filter(|container| container.is_sidecar()).cloned().collect();
    let containers_ready = verdict.is_none() && ready(&pod.spec.containers) && ready(&sidecars);
    let ran = pod.spec.containers.iter().any(|container| {
        records
            .get(&container.name)
            .is_some_and(|record| record.is_running() || record.last.is_some() || record.restart_count > 0)
    });
    let phase = verdict
        .as_ref()
        .map_or(if initialized && ran { "Running" } else { "Pending" }, |verdict| verdict.phase);
    let node = pod.node.network.host_addresses();
    let mut status = json!({
        "phase": phase,
        "hostIP": node.v4.to_string(),
        "hostIPs": node.listed(),
        "startTime": seconds(pod.started_at),
        "qosClass": qos_class(&pod.spec.containers, &pod.spec.init_containers),
        "containerStatuses": statuses(&pod.spec.containers, false),
    });
    if !pod.spec.init_containers.is_empty() {
        status["initContainerStatuses"] = json!(statuses(&pod.spec.init_containers, true));
    }
    let ephemeral = super::ephemeral::listed(&pod.object.borrow());
    if !ephemeral.is_empty() {
        let mut statuses = statuses(&ephemeral, false);
        // Nothing probes them.
        statuses.iter_mut().for_each(|status| status["ready"] = json!(false));
        status["ephemeralContainerStatuses"] = json!(statuses);
    }
    let addresses = pod.addresses();
    if let Some(addresses) = addresses {
        status["podIP"] = json!(addresses.v4.to_string());
        status["podIPs"] = addresses.listed();
    }
    if let Some(verdict) = &verdict {
        status["reason"] = json!(verdict.reason)
            .as_str()
            .filter(|reason| !reason.is_empty())
            .map_or(Value::Null, |reason| json!(reason));
        status["message"] = json!(verdict.message)
            .as_str()
            .filter(|text| !text.is_empty())
            .map_or(Value::Null, |text| json!(text));
    }
    status["conditions"] = conditions(pod, initialized, containers_ready, addresses.is_some(), phase);
    status
}

fn conditions(
    pod: &PodContext,
    initialized: bool,
    containers_ready: bool,
    sandbox: bool,
    phase: &str,
) -> Value {
    let object = pod.object.borrow().clone();
    let old = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let gates = object["spec"]["readinessGates"].as_array().cloned().unwrap_or_default();
    let gates_open = gates.iter().all(|gate| {
        old.iter()
            .any(|condition| condition["type"] == gate["conditionType"] && condition["status"] == "True")
    });
    let reason = match (phase, containers_ready) {
        (_, true) => "",
        ("Succeeded", _) => "PodCompleted",
        ("Failed", _) => "PodFailed",
        _ => "ContainersNotReady",
    };
    let ready_reason = if containers_ready && !gates_open { "ReadinessGatesNotReady" } else { reason };
    let own = [
        ("PodReadyToStartContainers", sandbox, ""),
        ("Initialized", initialized, if initialized { "" } else { "ContainersNotInitialized" }),
        ("Ready", containers_ready && gates_open, ready_reason),
        ("ContainersReady", containers_ready, reason),
        ("PodScheduled", true, ""),
    ];
    let mut conditions: Vec<Value> = old
        .iter()
        .filter(|condition| own.iter().all(|(name, ..)| condition["type"] != *name))
        .cloned()
        .collect();
    for (name, holds, reason) in own {
        let status = if holds { "True" } else { "False" };
        let before = old.iter().find(|condition| condition["type"] == name && condition["status"] == status);
        let since = before.and_then(|condition| condition["lastTransitionTime"].as_str().map(str::to_owned));
        let mut condition = json!({
            "type": name, "status": status, "lastProbeTime": null,
            "lastTransitionTime": since.unwrap_or_else(|| seconds(Timestamp::now())),
        });
        if !reason.is_empty() {
            condition["reason"] = json!(reason);
        }
        conditions.push(condition);
    }
    json!(conditions)
}

fn container_status(container: &Container, record: &ContainerRecord, init: bool) -> Value {
    let running = record.is_running();
    // An init container that has done its work is ready.
    let done = matches!(&record.state, State::Terminated(end) if end.exit_code == 0 && record.finished);
    let ready = (running && record.ready) || (init && done && !container.is_sidecar());
    let image_id =
        if record.container_id.is_empty() { String::new() } else { format!("sagene://{}", container.image) };
    let mut status = json!({
        "name": container.name,
        "image": container.image,
        "imageID": image_id,
        "ready": ready,
        "started": running && record.started,
        "restartCount": record.restart_count,
        "state": state(&record.state),
        "lastState": {},
    });
    if !record.container_id.is_empty() {
        status["containerID"] = json!(record.container_id);
    }
    if let (Some(last), false) = (&record.last, matches!(record.state, State::Terminated(_))) {
        status["lastState"] = json!({"terminated": terminated(last)});
    }
    status
}

fn state(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { started_at } => json!({"running": {"startedAt": seconds(*started_at)}}),
        State::Terminated(end) => json!({"terminated": terminated(end)}),
    }
}

fn terminated(end: &Terminated) -> Value {
    let mut value = json!({
        "exitCode": end.exit_code, "reason": end.reason, "finishedAt": seconds(end.finished_at), "containerID": end.container_id,
        "startedAt": end.started_at.map(seconds),
    });
    if let Some(signal) = end.signal {
        value["signal"] = json!(signal);
    }
    if !end.message.is_empty() {
        value["message"] = json!(end.message);
    }
    value
}

/// Kubernetes' times have whole seconds.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
fn qos_class(containers: &[Container], init_containers: &[Container]) -> &'static str {
    let all = || containers.iter().chain(init_containers);
    let amounts = |container: &Container, kind: &str, name: &str| {
        let map = if kind == "limits" { &container.resources.limits } else { &container.resources.requests };
        map.get(name).and_then(quantity::parse_value).filter(|amount| *amount > 0.0)
    };
    let names = ["cpu", "memory"];
    if all().all(|container| {
        names
            .iter()
            .all(|name| ["limits", "requests"].iter().all(|kind| amounts(container, kind, name).is_none()))
    }) {
        return "BestEffort";
    }
    let guaranteed = all().all(|container| {
        names.iter().all(|name| match amounts(container, "limits", name) {
            Some(limit) => amounts(container, "requests", name)
                .is_none_or(|request| (request - limit).abs() < f64::EPSILON),
            None => false,
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
