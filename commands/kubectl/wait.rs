//! `kubectl wait`: until objects have a condition, a value, or are gone.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::future::try_join_all;
use serde_json::Value;

use super::jsonpath;
use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Event, kubectl_failure, text, watch};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// What to wait for: condition=NAME[=VALUE], jsonpath='{…}'[=VALUE], create or delete
    #[arg(long = "for", value_name = "WHAT", required = true, value_parser = goal)]
    goal: Goal,
    /// How long to wait altogether; 0s only looks
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = cli::duration)]
    timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Condition { name: String, value: String },
    Path { template: String, value: Option<String> },
    Exists,
    Gone,
}

fn goal(text: &str) -> Result<Goal, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("condition=") {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
        return Ok(Goal::Condition { name: name.to_owned(), value: value.to_owned() });
    }
    if lower.starts_with("jsonpath=") {
        let rest = &text["jsonpath=".len()..];
        let end = rest
            .rfind('}')
            .ok_or("a jsonpath is written in braces, as in jsonpath='{.status.phase}'=Running")?;
        let (template, value) = rest.split_at(end + 1);
        return Ok(Goal::Path {
            template: template.to_owned(),
            value: value.strip_prefix('=').map(str::to_owned),
        });
    }
    match lower.as_str() {
        "create" => Ok(Goal::Exists),
        "delete" => Ok(Goal::Gone),
        _ => Err(format!("unrecognized condition: {text:?}")),
    }
}

impl Goal {
    fn met(&self, object: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Gone => false,
            Self::Condition { name, value } => {
                let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
                conditions.into_iter().flatten().any(|condition| {
                    text(condition, "/type").eq_ignore_ascii_case(name)
                        && text(condition, "/status").eq_ignore_ascii_case(value)
                })
            }
            Self::Path { template, value } => match (jsonpath::render(template, object), value) {
                (Ok(found), Some(value)) => found == *value,
                (Ok(found), None) => !found.is_empty(),
                (Err(_), _) => false,
            },
        }
    }
}

impl Wait {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        if self.goal == Goal::Exists {
            return self.until_created(session).await;
        }
        let found = match target::find(session, &self.arguments, &self.selection, false).await {
            Ok(found) => found,
            // What is not there is gone.
            Err(failure) if self.goal == Goal::Gone && failure.error.to_string().contains("(NotFound)") => {
                return Ok(Exit::Success);
            }
            Err(failure) => return Err(failure),
        };
        if found.is_empty() && self.goal != Goal::Gone {
            return Err(error("no matching resources found"));
        }
        try_join_all(found.iter().map(|found| self.one(session, found))).await?;
        Ok(Exit::Success)
    }

    /// Asks again until there is what was named.
    async fn until_created(&self, session: &Session) -> Outcome {
        let end = tokio::time::Instant::now() + self.timeout;
        loop {
            match target::find(session, &self.arguments, &self.selection, false).await {
                Ok(found) if !found.is_empty() => {
                    found.iter().for_each(|found| output::line(&format!("{} condition met", found.title())));
                    return Ok(Exit::Success);
                }
                Err(failure) if !failure.error.to_string().contains("(NotFound)") => return Err(failure),
                Ok(_) | Err(_) if tokio::time::Instant::now() >= end => {
                    let named = self.arguments.join(" ");
                    return Err(error(format!("timed out waiting for the condition on {named}")));
                }
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn one(&self, session: &Session, found: &Found) -> Result<(), Failure> {
        let late = |_| Failure {
            prefix: "",
            ..Failure::new(format!("error: timed out waiting for the condition on {}", plural(found)))
        };
        if self.timeout.is_zero() && !self.goal.met(&found.object) {
            return Err(late(()));
        }
        let waited = self.until_met(session, found);
        tokio::time::timeout(self.timeout.max(Duration::from_millis(1)), waited)
            .await
            .map_err(|_| late(()))??;
        let word = if self.goal == Goal::Gone { "condition met (deleted)" } else { "condition met" };
        output::line(&format!("{} {word}", found.title()));
        Ok(())
    }

    async fn until_met(&self, session: &Session, found: &Found) -> Result<(), Failure> {
        if self.goal.met(&found.object) {
            return Ok(());
        }
        let uid = text(&found.object, "/metadata/uid");
        loop {
            let fields = format!("metadata.name={}", found.name());
            let mut events = watch(&session.cluster.client, &found.resource, found.namespace(), "", &fields);
            // A list without the object says that it is gone, but as no event: so it is looked for, now and then.
            loop {
                match tokio::time::timeout(Duration::from_secs(1), events.next()).await {
                    Ok(Some(Ok(Event::Applied(object)))) if self.goal.met(&object) => return Ok(()),
                    Ok(Some(Ok(Event::Applied(object)))) if text(&object, "/metadata/uid") != uid => {
                        if self.goal == Goal::Gone {
                            return Ok(());
                        }
                    }
                    Ok(Some(Ok(Event::Deleted(_)))) if self.goal == Goal::Gone => return Ok(()),
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(failure))) => return Err(kubectl_failure(failure)),
                    Ok(None) => break,
                    Err(_) => {
                        let object =
                            session.objects.get(&found.resource, found.namespace(), found.name()).await;
                        if object.map_err(kubectl_failure)?.is_none() {
                            return if self.goal == Goal::Gone {
                                Ok(())
                            } else {
                                Err(error("object has been deleted"))
                            };
                        }
                    }
                }
            }
        }
    }
}

fn plural(found: &Found) -> String {
    format!("{}/{}", found.resource.plural, found.name())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_read_and_met() {
        let pod =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for (text, met) in [
            ("condition=Ready", true),
            ("condition=ready=False", false),
            ("condition=Initialized", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("create", true),
            ("delete", false),
        ] {
            assert_eq!(goal(text).expect(text).met(&pod), met, "{text}");
        }
        assert!(goal("Ready").is_err() && goal("jsonpath=.x").is_err());
    }
}
