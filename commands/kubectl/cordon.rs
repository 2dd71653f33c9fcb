//! `kubectl cordon` and `kubectl uncordon`.

use clap::Args;
use serde_json::{Value, json};

use super::session::Session;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Cordon {
    /// The nodes
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
}

impl Cordon {
    /// Whether new pods are kept away.
    pub(super) async fn run(self, session: &Session, cordoned: bool) -> Outcome {
        for name in &self.nodes {
            set(session, name, cordoned).await?;
        }
        Ok(Exit::Success)
    }
}

/// The kind of nodes.
pub(super) fn nodes() -> Resource {
    Resource::known("", "v1", "Node", "nodes", false)
}

/// Keeps new pods away from a node, or lets them in.
pub(super) async fn set(session: &Session, name: &str, cordoned: bool) -> Result<(), Failure> {
    let kind = nodes();
    let word = if cordoned { "cordoned" } else { "uncordoned" };
    let node = session.objects.get_path(&kind.object(None, name), None).await.map_err(kubectl_failure)?;
    if node["spec"]["unschedulable"].as_bool().unwrap_or_default() == cordoned {
        output::line(&format!("node/{name} already {word}"));
        return Ok(());
    }
    let value = if cordoned { json!(true) } else { Value::Null };
    let patch = json!({"spec": {"unschedulable": value}});
    session.objects.merge_patch(&kind, None, name, "", &patch).await.map_err(kubectl_failure)?;
    output::line(&format!("node/{name} {word}"));
    Ok(())
}
