//! `kubectl set image`, `set env` and `set resources`: what containers of workloads run, with which environment, and what they may use.

mod resources;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Images of containers: NAME=IMAGE, or *=IMAGE for all
    Image(Change),
    /// Environment variables: NAME=VALUE sets, NAME- removes
    Env(Change),
    /// Requests and limits of containers
    Resources(resources::Resources),
}

#[derive(Debug, Args)]
struct Change {
    /// Objects, then the changes
    #[arg(value_name = "TYPE[/NAME] NAME CHANGE", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Containers whose environment changes; default all
    #[arg(short, long, value_name = "NAME", default_value = "*")]
    containers: String,
    /// Print the environment
    #[arg(long)]
    list: bool,
}

type Edit = fn(&Change, &mut Value, &[(String, Option<String>)]) -> Result<(), Failure>;

/// Workloads keep their pods' containers in a template; pods have them themselves.
const CONTAINERS: [&str; 2] = ["/spec/template/spec", "/spec"];

impl Set {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (change, done, edit): (Change, &str, Edit) = match self.what {
            What::Image(change) => (change, "image updated", Change::image),
            What::Env(change) => (change, "env updated", Change::env),
            What::Resources(resources) => return resources.run(session).await,
        };
        let is_change = |it: &String| it.contains('=') || it.ends_with('-');
        let split = change.arguments.iter().position(is_change).unwrap_or(change.arguments.len());
        let (objects, changes) = change.arguments.split_at(split);
        let changes = changes.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        if changes.is_empty() && !change.list {
            return Err(error("at least one change is required, as in NAME=VALUE"));
        }
        for found in target::find(session, objects, &change.selection, false).await? {
            if change.list {
                list(&found);
                continue;
            }
            let (object, place) = edited(&found, |pod| edit(&change, pod, &changes))?;
            if keep(session, &found, &object, place).await? {
                output::line(&format!("{} {done}", found.title()));
            }
        }
        Ok(Exit::Success)
    }
}

/// The object with its pod changed, and where in it the pod is.
fn edited(
    found: &Found,
    edit: impl FnOnce(&mut Value) -> Result<(), Failure>,
) -> Result<(Value, &'static str), Failure> {
    let mut object = found.object.clone();
    let place = CONTAINERS
        .into_iter()
        .find(|pointer| object.pointer(pointer).is_some_and(|it| it.get("containers").is_some()))
        .ok_or_else(|| error(format!("{} has no containers", found.title())))?;
    if let Some(pod) = object.pointer_mut(place) {
        edit(pod)?;
    }
    Ok((object, place))
}

/// Writes the changed place; whether anything changed.
async fn keep(session: &Session, found: &Found, object: &Value, place: &str) -> Result<bool, Failure> {
    let (resource, namespace) = (&found.resource, found.namespace());
    let patch = nested(place, object.pointer(place).unwrap_or(&Value::Null));
    let answer = session.objects.merge_patch(resource, namespace, found.name(), "", &patch).await;
    answer.map_err(kubectl_failure)?;
    Ok(*object != found.object)
}

impl Change {
    fn image(&self, pod: &mut Value, changes: &[(String, Option<String>)]) -> Result<(), Failure> {
        for (name, image) in changes {
            let Some(image) = image else {
                return Err(error(format!("{name}-: an image cannot be removed")));
            };
            let mut met = false;
            for list in ["containers", "initContainers"] {
                for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if name == "*" || text(container, "/name") == name {
                        container["image"] = json!(image);
                        met = true;
                    }
                }
            }
            if !met {
                return Err(error(format!("unable to find container named \"{name}\"")));
            }
        }
        Ok(())
    }

    fn env(&self, pod: &mut Value, changes: &[(String, Option<String>)]) -> Result<(), Failure> {
        let mut met = false;
        for container in pod.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
            if self.containers != "*" && text(container, "/name") != self.containers {
                continue;
            }
            met = true;
            let mut environment = container["env"].as_array().cloned().unwrap_or_default();
            for (name, value) in changes {
                let at = environment.iter().position(|it| text(it, "/name") == name);
                match (at, value) {
                    (Some(at), Some(value)) => environment[at] = json!({"name": name, "value": value}),
                    (None, Some(value)) => environment.push(json!({"name": name, "value": value})),
                    (Some(at), None) => drop(environment.remove(at)),
                    (None, None) => {}
                }
            }
            container["env"] = json!(environment);
        }
        if met {
            Ok(())
        } else {
            Err(error(format!("unable to find container named \"{}\"", self.containers)))
        }
    }
}

fn parse(text: &str) -> Result<(String, Option<String>), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        _ => text
            .strip_suffix('-')
            .filter(|name| !name.is_empty())
            .map(|name| (name.to_owned(), None))
            .ok_or_else(|| {
                error(format!("unexpected change {text:?}: write NAME=VALUE, or NAME- to remove"))
            }),
    }
}

fn list(found: &Found) {
    for container in
        CONTAINERS.iter().filter_map(|it| found.object.pointer(it)?.get("containers")?.as_array()).flatten()
    {
        output::line(&format!("# {}, container {}", found.title(), text(container, "/name")));
        for variable in container["env"].as_array().into_iter().flatten() {
            match variable.get("valueFrom") {
                Some(source) => output::line(&format!("# {} from {source}", text(variable, "/name"))),
                None => output::line(&format!("{}={}", text(variable, "/name"), text(variable, "/value"))),
            }
        }
    }
}

/// A patch that says one place of an object.
fn nested(pointer: &str, value: &Value) -> Value {
    let names: Vec<&str> = pointer.split('/').skip(1).collect();
    names.iter().rev().fold(value.clone(), |inner, name| json!({*name: inner}))
}
