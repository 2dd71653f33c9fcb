//! CronJobs: a Job for each time of the schedule.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, controller_reference, number, text};
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;
use schedule::Schedule;

/// Longest sleep between two looks at a CronJob.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(cron_job) = context.get(&ResourceRef::CRON_JOBS, namespace, name).await? else {
        return Ok(None);
    };
    if cron_job["metadata"]["deletionTimestamp"].is_string() {
        return Ok(None);
    }
    let jobs = context.controlled(&ResourceRef::JOBS, &cron_job).await?;
    let (finished, active): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| outcome(job).is_some());
    report_finished(context, &cron_job, &finished);
    forget_old(context, &cron_job, &finished).await?;
    let mut status = status(&cron_job, &active, &finished);
    let next = match plan(context, &cron_job) {
        Some(plan) => {
            start_due(context, &cron_job, &plan, &active, &mut status).await?;
            plan.next
        }
        None => None,
    };
    context.write_status(&ResourceRef::CRON_JOBS, &cron_job, status).await?;
    Ok(next)
}

/// `Complete` or `Failed`, once it is.
fn outcome(job: &Value) -> Option<&str> {
    let conditions = job["status"]["conditions"].as_array()?;
    let ended = conditions
        .iter()
        .find(|one| one["status"] == "True" && matches!(text(one, "/type"), "Complete" | "Failed"));
    ended.map(|condition| text(condition, "/type"))
}

fn report_finished(context: &Context, cron_job: &Value, finished: &[Arc<Value>]) {
    let listed = cron_job["status"]["active"].as_array();
    for job in finished {
        let was_active = listed.into_iter().flatten().any(|one| one["uid"] == job["metadata"]["uid"]);
        if let Some(outcome) = outcome(job).filter(|_| was_active) {
            let message = format!("Saw completed job: {}, condition: {outcome}", text(job, "/metadata/name"));
            event(context, cron_job, Event::normal("SawCompletedJob", message));
        }
    }
}

fn event(context: &Context, cron_job: &Value, event: Event) {
    context.events.record("cronjob-controller", &ResourceRef::CRON_JOBS, cron_job, event);
}

/// Deletes finished jobs beyond the limits of history, oldest first.
async fn forget_old(context: &Context, cron_job: &Value, finished: &[Arc<Value>]) -> Result<(), ApiError> {
    let limits =
        [("Complete", "/spec/successfulJobsHistoryLimit", 3), ("Failed", "/spec/failedJobsHistoryLimit", 1)];
    for (kind, limit, default) in limits {
        let limit = usize::try_from(number(cron_job, limit).unwrap_or(default)).unwrap_or(0);
        let mut jobs: Vec<&Arc<Value>> = finished.iter().filter(|job| outcome(job) == Some(kind)).collect();
        jobs.sort_by_key(|job| text(job, "/status/startTime").to_owned());
        for job in jobs.iter().take(jobs.len().saturating_sub(limit)) {
            context.delete(&ResourceRef::JOBS, job).await?;
            let message = format!("Deleted job {}", text(job, "/metadata/name"));
            event(context, cron_job, Event::normal("SuccessfulDelete", message));
        }
    }
    Ok(())
}

fn status(cron_job: &Value, active: &[Arc<Value>], finished: &[Arc<Value>]) -> Value {
    let mut status = cron_job["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let references = active.iter().map(|job| reference(job)).collect::<Vec<Value>>();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("active");
    }
    if !references.is_empty() {
        status["active"] = json!(references);
    }
    let succeeded = finished.iter().filter(|job| outcome(job) == Some("Complete"));
    let latest = succeeded.map(|job| text(job, "/status/completionTime")).max().unwrap_or_default();
    if !latest.is_empty() && latest > text(&status, "/lastSuccessfulTime") {
        status["lastSuccessfulTime"] = json!(latest);
    }
    status
}

fn reference(job: &Value) -> Value {
    let metadata = &job["metadata"];
    json!({"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "namespace": metadata["namespace"],
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]})
}

/// What the schedule says about now.
struct Plan {
    due: Option<jiff::Timestamp>,
    next: Option<Duration>,
}

fn plan(context: &Context, cron_job: &Value) -> Option<Plan> {
    if cron_job["spec"]["suspend"] == true {
        return None;
    }
    let warn = |reason, message| event(context, cron_job, Event::warning(reason, message));
    let zone = text(cron_job, "/spec/timeZone");
    if !matches!(zone, "" | "UTC" | "Etc/UTC") {
        warn("UnknownTimeZone", format!("invalid timeZone: {zone:?}: the embedded cluster knows UTC only"));
        return None;
    }
    let schedule = match Schedule::parse(text(cron_job, "/spec/schedule")) {
        Ok(schedule) => schedule,
        Err(error) => {
            let written = text(cron_job, "/spec/schedule");
            warn("UnparseableSchedule", format!("unparseable schedule: {written:?} : {error}"));
            return None;
        }
    };
    let now = jiff::Timestamp::now();
    let read = |pointer| text(cron_job, pointer).parse::<jiff::Timestamp>().ok();
    let mut after =
        read("/status/lastScheduleTime").or_else(|| read("/metadata/creationTimestamp")).unwrap_or(now);
    if let Some(deadline) = number(cron_job, "/spec/startingDeadlineSeconds") {
        let earliest = now.checked_sub(Duration::from_secs(deadline.max(0).unsigned_abs())).unwrap_or(now);
        after = after.max(earliest);
    }
    let civil = |time: jiff::Timestamp| TimeZone::UTC.to_datetime(time);
    let stamp = |time: jiff::civil::DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let next = schedule.next_after(civil(now)).and_then(stamp);
    let pause = next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
    Some(Plan {
        due: schedule.last_between(civil(after), civil(now)).and_then(stamp),
        // A little late rather than a little early.
        next: pause.map(|pause| (pause + Duration::from_millis(50)).min(LONGEST_PAUSE)),
    })
}

async fn start_due(
    context: &Context,
    cron_job: &Value,
    plan: &Plan,
    active: &[Arc<Value>],
    status: &mut Value,
) -> Result<(), ApiError> {
    let Some(due) = plan.due else { return Ok(()) };
    let policy = text(cron_job, "/spec/concurrencyPolicy");
    if policy == "Forbid" && !active.is_empty() {
        let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
        event(context, cron_job, Event::normal("JobAlreadyActive", message));
        return Ok(());
    }
    if policy == "Replace" {
        for job in active {
            context.delete(&ResourceRef::JOBS, job).await?;
        }
        status["active"] = json!([]);
    }
    let job = job(cron_job, due);
    let name = text(&job, "/metadata/name").to_owned();
    match context.api.create(&ResourceRef::JOBS, text(cron_job, "/metadata/namespace"), job).await {
        Ok(created) => {
            event(context, cron_job, Event::normal("SuccessfulCreate", format!("Created job {name}")));
            let mut references = status["active"].as_array().cloned().unwrap_or_default();
            references.push(reference(&created));
            status["active"] = json!(references);
        }
        // Made before the status could be written.
        Err(error) if error.is_already_exists() => {}
        Err(error) => {
            event(context, cron_job, Event::warning("FailedCreate", format!("Error creating job: {error}")));
            return Err(error);
        }
    }
    status["lastScheduleTime"] = json!(format!("{due:.0}"));
    Ok(())
}

/// The job of a time; its name says which, so that none is made twice.
fn job(cron_job: &Value, due: jiff::Timestamp) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut metadata = json!({
        "name": format!("{}-{}", text(cron_job, "/metadata/name"), due.as_second() / 60),
        "namespace": cron_job["metadata"]["namespace"],
        "ownerReferences": [controller_reference(&ResourceRef::CRON_JOBS, cron_job)],
    });
    for field in ["labels", "annotations"] {
        if template["metadata"][field].is_object() {
            metadata[field] = template["metadata"][field].clone();
        }
    }
    metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = json!(format!("{due:.0}"));
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}
