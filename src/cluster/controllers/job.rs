//! Jobs: pods that run to their end, as often as it takes.

use std::time::Duration;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, now, number, seconds_since, set_condition, text};
use super::pod_owner::{create_all, delete_all, is_active, is_ready, pod};
use crate::api_client::ResourceRef;
use crate::events::Event;

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(job) = context.get(&ResourceRef::JOBS, namespace, name).await? else { return Ok(None) };
    if job["metadata"]["deletionTimestamp"].is_string() {
        return Ok(None);
    }
    if is_finished(&job) {
        return expire(context, &job).await;
    }
    let pods = context.controlled(&ResourceRef::PODS, &job).await?;
    let count = |phase: &str| pods.iter().filter(|pod| text(pod, "/status/phase") == phase).count() as i64;
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
    let verdict = verdict(&job, succeeded, failed);
    let suspended = job["spec"]["suspend"] == true;
    let mut running = active.len() as i64;
    if verdict.is_some() || suspended {
        delete_all(context, &ResourceRef::JOBS, &job, &active).await?;
        running = 0;
    } else {
        let wanted = number(&job, "/spec/parallelism")
            .unwrap_or(1)
            .min(number(&job, "/spec/completions").map_or(i64::MAX, |all| all - succeeded));
        let missing = (running..wanted).map(|_| {
            pod(&ResourceRef::JOBS, &job, None, &[("batch.kubernetes.io/job-name", name), ("job-name", name)])
        });
        let missing: Vec<Value> = missing.collect();
        running += missing.len() as i64;
        create_all(context, &ResourceRef::JOBS, &job, missing).await?;
    }
    if let Some((kind, reason, message)) = verdict {
        let event = match kind {
            "Complete" => Event::normal("Completed", "Job completed"),
            _ => Event::warning(reason, message),
        };
        context.events.record("job-controller", &ResourceRef::JOBS, &job, event);
    }
    let ready = active.iter().filter(|pod| is_ready(pod)).count();
    context
        .write_status(
            &ResourceRef::JOBS,
            &job,
            status(&job, running, ready, succeeded, failed, verdict.as_ref()),
        )
        .await?;
    let limit = number(&job, "/spec/activeDeadlineSeconds");
    Ok(limit.filter(|_| verdict.is_none()).map(|limit| Duration::from_secs(limit.max(1) as u64)))
}

fn is_finished(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        matches!(text(condition, "/type"), "Complete" | "Failed") && condition["status"] == "True"
    })
}

/// How the job ended: condition, reason, message.
type Verdict = (&'static str, &'static str, &'static str);

fn verdict(job: &Value, succeeded: i64, failed: i64) -> Option<Verdict> {
    let started = text(job, "/status/startTime");
    let late = number(job, "/spec/activeDeadlineSeconds")
        .zip(seconds_since(started))
        .is_some_and(|(limit, age)| age >= limit as f64);
    let completions = number(job, "/spec/completions");
    if succeeded >= completions.unwrap_or(1) {
        Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
    } else if failed > number(job, "/spec/backoffLimit").unwrap_or(6) {
        Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if late {
        Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    } else {
        None
    }
}

fn status(
    job: &Value,
    active: i64,
    ready: usize,
    succeeded: i64,
    failed: i64,
    verdict: Option<&Verdict>,
) -> Value {
    let mut status = json!({ "ready": ready, "uncountedTerminatedPods": {} });
    let started = text(job, "/status/startTime");
    status["startTime"] = if started.is_empty() { json!(now()) } else { json!(started) };
    for (field, count) in [("active", active), ("succeeded", succeeded), ("failed", failed)] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    let mut conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if let Some((kind, reason, message)) = verdict {
        set_condition(&mut conditions, kind, "True", reason, message);
        if *kind == "Complete" {
            status["completionTime"] = json!(now());
        }
    }
    if !conditions.is_empty() {
        status["conditions"] = json!(conditions);
    }
    status
}

/// A finished job goes `ttlSecondsAfterFinished` after its end.
async fn expire(context: &Context, job: &Value) -> Reconciled {
    let Some(ttl) = number(job, "/spec/ttlSecondsAfterFinished") else { return Ok(None) };
    let conditions = job["status"]["conditions"].as_array();
    let ended = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["status"] == "True")
        .find_map(|condition| seconds_since(text(condition, "/lastTransitionTime")));
    let left = ttl as f64 - ended.unwrap_or(f64::MAX);
    if left > 0.0 {
        return Ok(Some(Duration::from_secs_f64(left.min(86_400.0))));
    }
    context.delete(&ResourceRef::JOBS, job).await?;
    Ok(None)
}
