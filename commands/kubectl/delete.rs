//! `kubectl delete`: deletes objects and waits until they are gone.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Event, Resource, kubectl_failure, text, watch};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Missing objects are no error
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    ignore_not_found: bool,
    /// Do not wait for the objects to be gone: --wait=false
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    wait: bool,
    /// How long to wait; 0s is forever
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = cli::duration)]
    timeout: Duration,
    /// Seconds that pods get to end; -1 leaves it to them
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    grace_period: i64,
    /// Delete at once, without waiting for the node to confirm
    #[arg(long)]
    force: bool,
    /// Give pods one second
    #[arg(long, conflicts_with = "grace_period")]
    now: bool,
    /// What happens to dependents: background, foreground, orphan
    #[arg(long, value_name = "HOW", default_value = "background", value_parser = ["background", "foreground", "orphan", "true", "false"])]
    cascade: String,
    /// Print names only: name
    #[arg(short, long, value_parser = ["name"])]
    output: Option<String>,
}

impl Delete {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        if self.grace_period == 0 && !self.force {
            output::progress("warning: --grace-period=0 without --force waits for the node to confirm");
        }
        let missing_is_fine =
            self.ignore_not_found || self.selection.all || self.selection.selector.is_some();
        let found =
            target::find(session, &self.arguments, &self.selection, missing_is_fine || self.many()).await?;
        let mut failed = false;
        // What the server refuses to delete is not waited for.
        let mut going = Vec::new();
        for object in &found {
            match self.one(session, object).await {
                Ok(()) => going.push(object),
                Err(failure) => {
                    output::progress(&crate::exit::chain(&failure.error));
                    failed = true;
                }
            }
        }
        if found.is_empty() && !self.ignore_not_found {
            if self.many() {
                failed = true;
            }
            output::progress("No resources found");
        }
        if self.wait {
            let all = futures::future::try_join_all(going.iter().map(|object| gone(session, object)));
            if self.timeout.is_zero() {
                all.await?;
            } else {
                let late = |_| error("timed out waiting for the condition");
                tokio::time::timeout(self.timeout, all).await.map_err(late)??;
            }
        }
        Ok(if failed { Exit::Failure } else { Exit::Success })
    }

    /// Several objects named by files: those that are there go, the others are reported.
    fn many(&self) -> bool {
        !self.selection.filename.is_empty()
    }

    async fn one(&self, session: &Session, found: &Found) -> Result<(), Failure> {
        let propagation = match self.cascade.as_str() {
            "foreground" => "Foreground",
            "orphan" | "false" => "Orphan",
            _ => "Background",
        };
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation});
        let grace = match (self.now, self.force, self.grace_period) {
            (true, ..) => 1,
            (_, true, -1) => 0,
            (_, _, given) => given,
        };
        if grace >= 0 {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let answer = session.objects.delete(&found.resource, found.namespace(), found.name(), &options).await;
        answer.map_err(kubectl_failure)?;
        if self.output.is_some() {
            output::line(&found.title());
        } else {
            let place =
                found.namespace().map(|namespace| format!(" from {namespace} namespace")).unwrap_or_default();
            let verb = if grace == 0 { "force deleted" } else { "deleted" };
            output::line(&format!(
                "{} \"{}\" {verb}{place}",
                found.resource.qualified_singular(),
                found.name()
            ));
        }
        Ok(())
    }
}

/// Waits until there is no object of a name.
pub(super) async fn until_absent(
    session: &Session,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), Failure> {
    match session.objects.get(resource, namespace, name).await.map_err(kubectl_failure)? {
        Some(object) => gone(session, &Found { resource: resource.clone(), object }).await,
        None => Ok(()),
    }
}

/// Waits until an object is gone or another one has its name.
async fn gone(session: &Session, found: &Found) -> Result<(), Failure> {
    let uid = text(&found.object, "/metadata/uid").to_owned();
    let now = session
        .objects
        .get(&found.resource, found.namespace(), found.name())
        .await
        .map_err(kubectl_failure)?;
    if now.is_none_or(|object| text(&object, "/metadata/uid") != uid) {
        return Ok(());
    }
    let fields = format!("metadata.name={}", found.name());
    let mut events = watch(&session.cluster.client, &found.resource, found.namespace(), "", &fields);
    let mut seen = false;
    loop {
        // The list that begins a watch says nothing about an object that is already gone: ask again when nothing comes.
        match tokio::time::timeout(Duration::from_millis(500), events.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Err(failure))) => return Err(kubectl_failure(failure)),
            Ok(Some(Ok(Event::Deleted(object)))) if same(&object, &uid) => return Ok(()),
            Ok(Some(Ok(Event::Applied(object)))) if !same(&object, &uid) => return Ok(()),
            Ok(Some(Ok(_))) => seen = true,
            Err(_) if seen => {}
            Err(_) => {
                let now = session.objects.get(&found.resource, found.namespace(), found.name()).await;
                if now.map_err(kubectl_failure)?.is_none() {
                    return Ok(());
                }
                seen = true;
            }
        }
    }
}

fn same(object: &Value, uid: &str) -> bool {
    text(object, "/metadata/uid") == uid
}
