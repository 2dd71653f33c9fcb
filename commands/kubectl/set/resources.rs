//! `kubectl set resources`: requests and limits of containers, `0` takes one away.

use clap::Args;
use serde_json::{Value, json};

use super::{edited, keep};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubectl::session::{Session, error};
use crate::kubectl::target::{self, Selection};
use crate::kubernetes::text;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Resources {
    /// Objects
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Containers that change; default all
    #[arg(short, long, value_name = "NAME", default_value = "*")]
    containers: String,
    /// What they may use at most: cpu=100m,memory=128Mi
    #[arg(long, value_name = "LIST", default_value = "")]
    limits: String,
    /// What they are sure to get: cpu=100m,memory=128Mi
    #[arg(long, value_name = "LIST", default_value = "")]
    requests: String,
}

impl Resources {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        if self.limits.is_empty() && self.requests.is_empty() {
            return Err(error(
                "you must specify an update to requests or limits (in the form of --requests/--limits)",
            ));
        }
        let (limits, requests) = (quantities(&self.limits)?, quantities(&self.requests)?);
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            let (object, place) = edited(&found, |pod| self.change(pod, &limits, &requests))?;
            if keep(session, &found, &object, place).await? {
                output::line(&format!("{} resource requirements updated", found.title()));
            }
        }
        Ok(Exit::Success)
    }

    fn change(&self, pod: &mut Value, limits: &[Quantity], requests: &[Quantity]) -> Result<(), Failure> {
        let mut met = false;
        for container in pod.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
            if self.containers != "*" && text(container, "/name") != self.containers {
                continue;
            }
            met = true;
            for (field, changes) in [("limits", limits), ("requests", requests)] {
                for (name, amount) in changes {
                    match amount.as_str() {
                        "0" => {
                            let there = container.pointer_mut(&format!("/resources/{field}"));
                            there.and_then(Value::as_object_mut).map(|map| map.remove(name));
                        }
                        amount => container["resources"][field][name] = json!(amount),
                    }
                }
            }
        }
        if met { Ok(()) } else { Err(error(format!("unable to find container named {}", self.containers))) }
    }
}

/// A resource and how much of it.
type Quantity = (String, String);

fn quantities(list: &str) -> Result<Vec<Quantity>, Failure> {
    let parts = list.split(',').filter(|part| !part.is_empty());
    let read = parts.map(|part| match part.split_once('=') {
        Some((name, amount)) if !name.is_empty() && !amount.is_empty() => {
            Ok((name.to_owned(), amount.to_owned()))
        }
        _ => Err(error(format!("Invalid argument syntax {part}, expected <resource>=<quantity>"))),
    });
    read.collect()
}
