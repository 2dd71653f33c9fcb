//! `kubectl rollout history` and `rollout undo`: the earlier templates of a Deployment, which its ReplicaSets keep.

use clap::Args;
use serde_json::{Value, json};

use super::super::session::{Session, error};
use super::super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct History {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The pod template of this revision
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct Undo {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The revision to go back to; default the one before
    #[arg(long, value_name = "NUMBER")]
    to_revision: Option<u64>,
}

/// A template that a Deployment has or had.
struct Revision {
    number: u64,
    cause: String,
    template: Value,
}

impl History {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            let revisions = revisions(session, &found).await?;
            if let Some(wanted) = self.revision {
                let revision = revisions.iter().find(|it| it.number == wanted);
                let revision = revision
                    .ok_or_else(|| error(format!("unable to find the specified revision {wanted}")))?;
                output::line(&format!("{} with revision #{wanted}", found.title()));
                output::data(&output::to_yaml(&json!({"template": revision.template}))?);
                continue;
            }
            output::line(&found.title());
            let mut table = Table::new(["REVISION", "CHANGE-CAUSE"], 2);
            for revision in revisions {
                let cause = if revision.cause.is_empty() { "<none>".to_owned() } else { revision.cause };
                table.row([revision.number.to_string(), cause]);
            }
            output::data(&format!("{}\n", table.render()));
        }
        Ok(Exit::Success)
    }
}

impl Undo {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            let mut revisions = revisions(session, &found).await?;
            let newest = revisions.pop();
            let wanted = match self.to_revision.filter(|number| *number != 0) {
                None => revisions.pop().ok_or_else(|| error("no rollout history found for deployment"))?,
                Some(number) => {
                    revisions.into_iter().chain(newest).find(|it| it.number == number).ok_or_else(|| {
                        error(format!("unable to find specified revision {number} in history"))
                    })?
                }
            };
            let patch = json!([{"op": "replace", "path": "/spec/template", "value": wanted.template}]);
            let after = session
                .objects
                .patch(
                    &found.resource,
                    found.namespace(),
                    found.name(),
                    "",
                    ("application/json-patch+json", &patch),
                    &[],
                )
                .await
                .map_err(kubectl_failure)?;
            let same = after["metadata"]["generation"] == found.object["metadata"]["generation"];
            let result =
                if same { "skipped rollback (current template already matches)" } else { "rolled back" };
            output::line(&format!("{} {result}", found.title()));
        }
        Ok(Exit::Success)
    }
}

/// The templates of a Deployment, the newest last.
async fn revisions(session: &Session, found: &Found) -> Result<Vec<Revision>, Failure> {
    if found.resource.kind != "Deployment" {
        return Err(error(format!("no history viewer has been implemented for {}", found.resource.kind)));
    }
    let sets = Resource::known("apps", "v1", "ReplicaSet", "replicasets", true);
    let sets = session.objects.list(&sets, found.namespace(), "").await.map_err(kubectl_failure)?;
    let uid = text(&found.object, "/metadata/uid");
    let own = |set: &&Value| {
        let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| text(owner, "/uid") == uid)
    };
    let mut revisions: Vec<Revision> = sets.iter().filter(own).filter_map(revision).collect();
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

fn revision(set: &Value) -> Option<Revision> {
    let number = text(set, "/metadata/annotations/deployment.kubernetes.io~1revision").parse().ok()?;
    let mut template = set.pointer("/spec/template")?.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    let cause = text(set, "/metadata/annotations/kubernetes.io~1change-cause").to_owned();
    Some(Revision { number, cause, template })
}
