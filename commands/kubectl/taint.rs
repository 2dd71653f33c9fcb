//! `kubectl taint`: `KEY=VALUE:EFFECT` keeps pods off nodes, `KEY-` and `KEY:EFFECT-` let them on again.

use clap::Args;
use serde_json::{Value, json};

use super::session::{Session, error};
use super::target::{self, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{kubectl_failure, text};
use crate::output;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

#[derive(Debug, Args)]
pub(super) struct Taint {
    /// `nodes`, their names, then the taints
    #[arg(value_name = "node NAME TAINT", required = true)]
    arguments: Vec<String>,
    /// All nodes
    #[arg(long)]
    all: bool,
    /// Label selector of nodes
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Add {
        key: String,
        value: String,
        effect: String,
    },
    /// Without an effect: all of the key.
    Remove {
        key: String,
        effect: Option<String>,
    },
}

impl Taint {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let is_change = |it: &String| it.contains([':', '=']) || it.ends_with('-');
        let split = self.arguments.iter().position(is_change).unwrap_or(self.arguments.len());
        let (nodes, changes) = self.arguments.split_at(split);
        let changes = changes.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        if changes.is_empty() {
            return Err(error("at least one taint update is required"));
        }
        let selection = Selection { all: self.all, selector: self.selector.clone(), ..Selection::default() };
        for found in target::find(session, nodes, &selection, false).await? {
            if found.resource.kind != "Node" {
                return Err(error(format!(
                    "invalid resource type {}, only node types are supported",
                    found.resource.kind
                )));
            }
            let there = found.object["spec"]["taints"].as_array().cloned().unwrap_or_default();
            let taints = self.changed(found.name(), there, &changes)?;
            let patch = json!({"spec": {"taints": taints}});
            let answer = session.objects.merge_patch(&found.resource, None, found.name(), "", &patch).await;
            answer.map_err(kubectl_failure)?;
            let removed = changes.iter().all(|change| matches!(change, Change::Remove { .. }));
            output::line(&format!("{} {}", found.title(), if removed { "untainted" } else { "tainted" }));
        }
        Ok(Exit::Success)
    }

    fn changed(&self, node: &str, mut taints: Vec<Value>, changes: &[Change]) -> Result<Vec<Value>, Failure> {
        for change in changes {
            match change {
                Change::Add { key, value, effect } => {
                    let same = |taint: &Value| text(taint, "/key") == key && text(taint, "/effect") == effect;
                    if taints.iter().any(same) && !self.overwrite {
                        return Err(error(format!(
                            "node {node} already has {key} taint(s) with same effect(s) and --overwrite is false"
                        )));
                    }
                    taints.retain(|taint| !same(taint));
                    let mut taint = json!({"key": key, "effect": effect});
                    if !value.is_empty() {
                        taint["value"] = json!(value);
                    }
                    taints.push(taint);
                }
                Change::Remove { key, effect } => {
                    let before = taints.len();
                    let of_effect =
                        |taint: &Value| effect.as_ref().is_none_or(|it| text(taint, "/effect") == it);
                    taints.retain(|taint| text(taint, "/key") != key || !of_effect(taint));
                    if taints.len() == before {
                        let shown =
                            effect.as_ref().map_or_else(|| key.clone(), |effect| format!("{key}:{effect}"));
                        return Err(error(format!("taint \"{shown}\" not found")));
                    }
                }
            }
        }
        Ok(taints)
    }
}

fn parse(text: &str) -> Result<Change, Failure> {
    let effect_of = |effect: &str| {
        let known = EFFECTS.contains(&effect).then(|| effect.to_owned());
        known.ok_or_else(|| {
            error(format!("invalid taint effect: {effect}, unsupported taint effect"))
                .hint(format!("the effects are {}", EFFECTS.join(", ")))
        })
    };
    if let Some(removed) = text.strip_suffix('-') {
        let (key, effect) =
            removed.split_once(':').map_or((removed, None), |(key, effect)| (key, Some(effect)));
        let key = key.split('=').next().unwrap_or(key).to_owned();
        return Ok(Change::Remove { key, effect: effect.map(effect_of).transpose()? });
    }
    let (pair, effect) = text
        .rsplit_once(':')
        .ok_or_else(|| error(format!("invalid taint spec: {text}")).hint("as in key=value:NoSchedule"))?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok(Change::Add { key: key.to_owned(), value: value.to_owned(), effect: effect_of(effect)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_read() {
        let add = |key: &str, value: &str, effect: &str| Change::Add {
            key: key.into(),
            value: value.into(),
            effect: effect.into(),
        };
        let remove = |key: &str, effect: Option<&str>| Change::Remove {
            key: key.into(),
            effect: effect.map(Into::into),
        };
        assert_eq!(parse("a=b:NoSchedule").ok(), Some(add("a", "b", "NoSchedule")));
        assert_eq!(parse("a:NoExecute").ok(), Some(add("a", "", "NoExecute")));
        assert_eq!(parse("a-").ok(), Some(remove("a", None)));
        assert_eq!(parse("a:NoSchedule-").ok(), Some(remove("a", Some("NoSchedule"))));
        assert_eq!(parse("a=b:NoSchedule-").ok(), Some(remove("a", Some("NoSchedule"))));
        assert!(parse("a=b").is_err() && parse("a=b:Never").is_err());
    }
}
