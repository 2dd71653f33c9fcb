//! Rows of pods and of the kinds that make them.

use serde_json::{Value, json};

use super::{age, human, list, or_none, text};
use crate::apiserver::http::subresource::selector_text;

/// Ready, status, restarts, age and the wide columns of a pod.
pub(super) fn pod(pod: &Value, created: Value) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let (reason, restarts, last_restart, ready) = state(pod);
    let restartable_init =
        list(&spec["initContainers"]).filter(|one| one["restartPolicy"] == "Always").count();
    let total = list(&spec["containers"]).count() + restartable_init;
    let restarts = match last_restart {
        Some(ago) if restarts > 0 => format!("{restarts} ({ago} ago)"),
        _ => restarts.to_string(),
    };
    vec![
        json!(format!("{ready}/{total}")),
        json!(reason),
        json!(restarts),
        created,
        json!(or_none(text(&status["podIP"]))),
        json!(or_none(text(&spec["nodeName"]))),
        json!(or_none(text(&status["nominatedNodeName"]))),
        json!("<none>"),
    ]
}

/// Status text, restarts, time since the last one, and ready containers: kubectl's rules.
fn state(pod: &Value) -> (String, i64, Option<String>, usize) {
    let status = &pod["status"];
    let phase = text(&status["phase"]);
    let mut reason = if status["reason"].is_string() { text(&status["reason"]) } else { phase };
    let (mut restarts, mut ready) = (0, 0);
    let mut last_restart: Option<String> = None;
    let mut note_restart = |container: &Value| {
        let finished = &container["lastState"]["terminated"]["finishedAt"];
        if let Some(time) = finished.as_str()
            && last_restart.as_deref().is_none_or(|known| known < time)
        {
            last_restart = Some(time.to_owned());
        }
    };
    let specs: Vec<&Value> = list(&pod["spec"]["initContainers"]).collect();
    let mut initializing = false;
    for (at, container) in list(&status["initContainerStatuses"]).enumerate() {
        restarts += container["restartCount"].as_i64().unwrap_or(0);
        note_restart(container);
        let spec = specs.iter().find(|spec| spec["name"] == container["name"]);
        let sidecar = spec.is_some_and(|spec| spec["restartPolicy"] == "Always");
        if sidecar && container["ready"] == true {
            ready += 1;
        }
        let done =
            container["state"]["terminated"]["exitCode"] == 0 || (sidecar && container["started"] == true);
        if done || initializing {
            continue;
        }
        initializing = true;
        reason = init_reason(&container["state"], at, specs.len());
    }
    if !initializing {
        restarts = if restarts > 0 && specs.iter().all(|spec| spec["restartPolicy"] != "Always") {
            0
        } else {
            restarts
        };
        let mut running = false;
        for container in list(&status["containerStatuses"]).collect::<Vec<_>>().into_iter().rev() {
            restarts += container["restartCount"].as_i64().unwrap_or(0);
            note_restart(container);
            let state = &container["state"];
            if let Some(waiting) = state["waiting"]["reason"].as_str() {
                reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                reason = terminated_reason(&state["terminated"], "");
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" && running {
            let is_ready =
                list(&status["conditions"]).any(|one| one["type"] == "Ready" && one["status"] == "True");
            reason = if is_ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        reason = if status["reason"] == "NodeLost" { "Unknown" } else { "Terminating" }.to_owned();
    }
    (reason, restarts, last_restart.map(|time| age(&json!(time))), ready)
}

fn init_reason(state: &Value, at: usize, total: usize) -> String {
    if state["terminated"].is_object() {
        return terminated_reason(&state["terminated"], "Init:");
    }
    match state["waiting"]["reason"].as_str() {
        Some(reason) if !reason.is_empty() && reason != "PodInitializing" => format!("Init:{reason}"),
        _ => format!("Init:{at}/{total}"),
    }
}

fn terminated_reason(terminated: &Value, prefix: &str) -> String {
    match (terminated["reason"].as_str(), terminated["signal"].as_i64()) {
        (Some(reason), _) if !reason.is_empty() => format!("{prefix}{reason}"),
        (_, Some(signal)) if signal != 0 => format!("{prefix}Signal:{signal}"),
        _ => format!("{prefix}ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
    }
}

fn number(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or(0))
}

/// The rows of workload kinds, without the name.
pub(super) fn cells(plural: &str, object: &Value, created: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let template =
        if plural == "cronjobs" { &spec["jobTemplate"]["spec"]["template"] } else { &spec["template"] };
    let of = |field: &str| {
        let values: Vec<String> =
            list(&template["spec"]["containers"]).map(|container| text(&container[field])).collect();
        json!(values.join(","))
    };
    let (containers, images) = (of("name"), of("image"));
    let selector = json!(or_none(selector_text(&spec["selector"])));
    let ready = |wanted: &Value| {
        json!(format!("{}/{}", status["readyReplicas"].as_i64().unwrap_or(0), wanted.as_i64().unwrap_or(0)))
    };
    match plural {
        "deployments" => vec![
            ready(&spec["replicas"]),
            number(&status["updatedReplicas"]),
            number(&status["availableReplicas"]),
            created,
            containers,
            images,
            selector,
        ],
        "replicasets" | "replicationcontrollers" => vec![
            number(&spec["replicas"]),
            number(&status["replicas"]),
            json!(text(&number(&status["readyReplicas"]))),
            created,
            containers,
            images,
            selector,
        ],
        "statefulsets" => vec![ready(&spec["replicas"]), created, containers, images],
        "daemonsets" => vec![
            number(&status["desiredNumberScheduled"]),
            number(&status["currentNumberScheduled"]),
            json!(text(&number(&status["numberReady"]))),
            number(&status["updatedNumberScheduled"]),
            number(&status["numberAvailable"]),
            json!(or_none(selector_text(&template["spec"]["nodeSelector"]))),
            created,
            containers,
            images,
            selector,
        ],
        "jobs" => job(object, created, [containers, images, selector]),
        "cronjobs" => {
            let last = if status["lastScheduleTime"].is_string() {
                age(&status["lastScheduleTime"])
            } else {
                "<none>".to_owned()
            };
            vec![
                spec["schedule"].clone(),
                json!(or_none(text(&spec["timeZone"]))),
                json!(if spec["suspend"] == true { "True" } else { "False" }),
                json!(list(&status["active"]).count()),
                json!(last),
                created,
                containers,
                images,
                json!("<none>"),
            ]
        }
        _ => vec![created],
    }
}

fn job(object: &Value, created: Value, wide: [Value; 3]) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let condition =
        |kind: &str| list(&status["conditions"]).any(|one| one["type"] == kind && one["status"] == "True");
    let shown = ["Complete", "Failed", "Suspended", "FailureTarget"]
        .into_iter()
        .find(|kind| condition(kind))
        .unwrap_or("Running");
    let succeeded = status["succeeded"].as_i64().unwrap_or(0);
    let completions = match spec["completions"].as_i64() {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None => format!("{succeeded}/1"),
    };
    let seconds = |value: &Value| {
        value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_second)
    };
    let duration = match (seconds(&status["startTime"]), seconds(&status["completionTime"])) {
        (Some(start), Some(end)) => human(end - start),
        (Some(start), None) => human(jiff::Timestamp::now().as_second() - start),
        _ => String::new(),
    };
    let mut cells = vec![json!(shown), json!(completions), json!(duration), created];
    cells.extend(wide);
    cells
}
