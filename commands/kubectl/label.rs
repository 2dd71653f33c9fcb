//! `kubectl label` and `kubectl annotate`: `key=value` sets, `key-` removes.

use clap::Args;
use serde_json::{Map, Value, json};

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::kubectl_failure;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Label {
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Annotate {
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Change {
    /// Objects, then key=value to set and key- to remove
    #[arg(value_name = "TYPE[/NAME] NAME KEY=VALUE", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Replace values that are there
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    overwrite: bool,
    /// Print what there is
    #[arg(long)]
    list: bool,
}

impl Label {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        self.change.run(session, "labels", "label", "labeled").await
    }
}

impl Annotate {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        self.change.run(session, "annotations", "annotation", "annotated").await
    }
}

impl Change {
    async fn run(self, session: &Session, field: &str, noun: &str, done: &str) -> Outcome {
        let split =
            self.arguments.iter().position(|argument| is_change(argument)).unwrap_or(self.arguments.len());
        let (objects, changes) = self.arguments.split_at(split);
        if changes.is_empty() && !self.list {
            return Err(error(format!("at least one {noun} update is required")));
        }
        let changes = changes.iter().map(|change| parse(change)).collect::<Result<Vec<_>, _>>()?;
        for found in target::find(session, objects, &self.selection, false).await? {
            if self.list {
                list(&found, field);
                continue;
            }
            let result = self.one(session, &found, field, &changes, done).await?;
            output::line(&format!("{} {result}", found.title()));
        }
        Ok(Exit::Success)
    }

    async fn one(
        &self,
        session: &Session,
        found: &Found,
        field: &str,
        changes: &[(String, Option<String>)],
        done: &str,
    ) -> Result<String, Failure> {
        let current = found.object.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        let value = |key: &str| current.and_then(|map| map.get(key)).and_then(Value::as_str);
        let mut patch = Map::new();
        let mut removed_only = true;
        for (key, wanted) in changes {
            match (value(key), wanted) {
                (Some(old), Some(new)) if old == new => {}
                (Some(old), Some(_)) if !self.overwrite => {
                    return Err(error(format!(
                        "'{key}' already has a value ({old}), and --overwrite is false"
                    )));
                }
                (_, Some(new)) => {
                    removed_only = false;
                    patch.insert(key.clone(), json!(new));
                }
                (Some(_), None) => {
                    patch.insert(key.clone(), Value::Null);
                }
                (None, None) => {
                    output::line(&format!(
                        "{} \"{key}\" not found.",
                        if field == "labels" { "label" } else { "annotation" }
                    ));
                }
            }
        }
        if patch.is_empty() {
            return Ok(format!("not {done}"));
        }
        let patch = json!({"metadata": {field: patch}});
        session
            .objects
            .merge_patch(&found.resource, found.namespace(), found.name(), "", &patch)
            .await
            .map_err(kubectl_failure)?;
        Ok(if removed_only && field == "labels" { format!("un{done}") } else { done.to_owned() })
    }
}

fn is_change(argument: &str) -> bool {
    argument.contains('=') || argument.ends_with('-')
}

fn parse(change: &str) -> Result<(String, Option<String>), Failure> {
    if let Some((key, value)) = change.split_once('=') {
        if key.is_empty() {
            return Err(error(format!("invalid label spec: {change}")));
        }
        return Ok((key.to_owned(), Some(value.to_owned())));
    }
    change
        .strip_suffix('-')
        .map(|key| (key.to_owned(), None))
        .ok_or_else(|| error(format!("unknown label spec: {change}")))
}

fn list(found: &Found, field: &str) {
    let current = found.object.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
    for (key, value) in current.into_iter().flatten() {
        output::line(&format!("{key}={}", value.as_str().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_objects() {
        assert_eq!(
            parse("istio-injection=enabled").expect("set"),
            ("istio-injection".into(), Some("enabled".into()))
        );
        assert_eq!(parse("istio-injection-").expect("remove"), ("istio-injection".into(), None));
        assert!(is_change("a-") && is_change("a=b") && !is_change("istio-system"));
    }
}
