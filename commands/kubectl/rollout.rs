//! `kubectl rollout`: status, restart, undo, history, pause and resume.

mod revision;

use std::time::Duration;

use clap::{Args, Subcommand};
use futures::StreamExt;
use serde_json::{Value, json};

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Event, kubectl_failure, text, watch};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Rollout {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Wait until a rollout is complete
    Status(Status),
    /// Replace all pods, one step at a time
    Restart(Restart),
    /// Go back to an earlier template
    Undo(revision::Undo),
    /// List the templates there were
    History(revision::History),
    /// Let changes of the template wait
    Pause(Restart),
    /// Act on changes of the template again
    Resume(Restart),
}

#[derive(Debug, Args)]
struct Status {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Wait until complete: --watch=false only looks
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    watch: bool,
    /// How long to wait; 0s is forever
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = cli::duration)]
    timeout: Duration,
}

#[derive(Debug, Args)]
struct Restart {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

impl Rollout {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Subcommands::Status(status) => status.run(session).await,
            Subcommands::Restart(restart) => restart.run(session).await,
            Subcommands::Undo(undo) => undo.run(session).await,
            Subcommands::History(history) => history.run(session).await,
            Subcommands::Pause(pause) => pause.set_paused(session, true).await,
            Subcommands::Resume(resume) => resume.set_paused(session, false).await,
        }
    }
}

impl Restart {
    async fn run(mut self, session: &Session) -> Outcome {
        // `rollout restart deployment` without a name means all of them.
        if self.arguments.len() == 1 && !self.arguments[0].contains('/') {
            self.selection.all = true;
        }
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            check(&found)?;
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let stamp = json!({"kubectl.kubernetes.io/restartedAt": now});
            let patch = json!({"spec": {"template": {"metadata": {"annotations": stamp}}}});
            session
                .objects
                .merge_patch(&found.resource, found.namespace(), found.name(), "", &patch)
                .await
                .map_err(kubectl_failure)?;
            output::line(&format!("{} restarted", found.title()));
        }
        Ok(Exit::Success)
    }
}

impl Restart {
    /// Whether changes of the template wait.
    async fn set_paused(self, session: &Session, paused: bool) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            if found.resource.kind != "Deployment" {
                return Err(error(format!("pausing is not supported: {}", found.title())));
            }
            if found.object["spec"]["paused"].as_bool().unwrap_or_default() == paused {
                let problem = if paused { "is already paused" } else { "is not paused" };
                return Err(error(format!("{} {problem}", found.title())));
            }
            // Absent is how an object says that it is not paused.
            let value = if paused { json!(true) } else { Value::Null };
            let patch = json!({"spec": {"paused": value}});
            let (resource, namespace) = (&found.resource, found.namespace());
            let answer = session.objects.merge_patch(resource, namespace, found.name(), "", &patch).await;
            answer.map_err(kubectl_failure)?;
            output::line(&format!("{} {}", found.title(), if paused { "paused" } else { "resumed" }));
        }
        Ok(Exit::Success)
    }
}

impl Status {
    async fn run(self, session: &Session) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            check(&found)?;
            let waited = self.wait(session, &found);
            if self.timeout.is_zero() {
                waited.await?;
            } else {
                let late = |_| error("timed out waiting for the condition");
                tokio::time::timeout(self.timeout, waited).await.map_err(late)??;
            }
        }
        Ok(Exit::Success)
    }

    async fn wait(&self, session: &Session, found: &Found) -> Result<(), Failure> {
        let fields = format!("metadata.name={}", found.name());
        let mut events = watch(&session.cluster.client, &found.resource, found.namespace(), "", &fields);
        let mut last = String::new();
        while let Some(event) = events.next().await {
            let Event::Applied(object) = event.map_err(kubectl_failure)? else {
                return Err(error("object has been deleted"));
            };
            let (message, done) = progress(&found.resource.kind, found.name(), &object)?;
            if message != last {
                output::line(&message);
                last = message;
            }
            if done || !self.watch {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn check(found: &Found) -> Result<(), Failure> {
    match found.resource.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => Ok(()),
        other => Err(error(format!("no status viewer has been implemented for {other}"))),
    }
}

/// kubectl's sentence about a rollout, and whether it is over.
fn progress(kind: &str, name: &str, object: &Value) -> Result<(String, bool), Failure> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    if number("/metadata/generation") > number("/status/observedGeneration") {
        let noun = match kind {
            "Deployment" => "deployment spec",
            "DaemonSet" => "daemon set spec",
            _ => "statefulset spec",
        };
        return Ok((format!("Waiting for {noun} update to be observed..."), false));
    }
    match kind {
        "Deployment" => deployment(name, object, wanted),
        "DaemonSet" => {
            let wanted = number("/status/desiredNumberScheduled");
            let (updated, available) =
                (number("/status/updatedNumberScheduled"), number("/status/numberAvailable"));
            Ok(if updated < wanted {
                (
                    format!(
                        "Waiting for daemon set \"{name}\" rollout to finish: {updated} out of {wanted} new pods have been updated..."
                    ),
                    false,
                )
            } else if available < wanted {
                (
                    format!(
                        "Waiting for daemon set \"{name}\" rollout to finish: {available} of {wanted} updated pods are available..."
                    ),
                    false,
                )
            } else {
                (format!("daemon set \"{name}\" successfully rolled out"), true)
            })
        }
        _ => {
            let (ready, updated) = (number("/status/readyReplicas"), number("/status/updatedReplicas"));
            Ok(if ready < wanted {
                (format!("Waiting for {} pods to be ready...", wanted - ready), false)
            } else if updated < wanted {
                (
                    format!(
                        "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
                        text(object, "/status/updateRevision")
                    ),
                    false,
                )
            } else {
                (
                    format!(
                        "statefulset rolling update complete {updated} pods at revision {}...",
                        text(object, "/status/currentRevision")
                    ),
                    true,
                )
            })
        }
    }
}

fn deployment(name: &str, object: &Value, wanted: u64) -> Result<(String, bool), Failure> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    if conditions.into_iter().flatten().any(|it| text(it, "/reason") == "ProgressDeadlineExceeded") {
        return Err(error(format!("deployment \"{name}\" exceeded its progress deadline")));
    }
    let (updated, total, available) =
        (number("/status/updatedReplicas"), number("/status/replicas"), number("/status/availableReplicas"));
    let begin = format!("Waiting for deployment \"{name}\" rollout to finish:");
    Ok(if updated < wanted {
        (format!("{begin} {updated} out of {wanted} new replicas have been updated..."), false)
    } else if total > updated {
        (format!("{begin} {} old replicas are pending termination...", total - updated), false)
    } else if available < updated {
        (format!("{begin} {available} of {updated} updated replicas are available..."), false)
    } else {
        (format!("deployment \"{name}\" successfully rolled out"), true)
    })
}
