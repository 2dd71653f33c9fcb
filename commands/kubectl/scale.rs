//! `kubectl scale`: sets the number of replicas through the `scale` subresource.

use clap::Args;
use serde_json::json;

use super::session::{Session, error};
use super::target::{self, Selection};
use crate::exit::{Exit, Outcome};
use crate::kubernetes::kubectl_failure;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Scale {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// New number of replicas
    #[arg(long, value_name = "COUNT")]
    replicas: u32,
}

impl Scale {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            if !found.resource.scalable {
                let kind = found.resource.qualified();
                return Err(error(format!(
                    "cannot scale {kind}: the server has no scale subresource for it"
                )));
            }
            let patch = json!({"spec": {"replicas": self.replicas}});
            session
                .objects
                .merge_patch(&found.resource, found.namespace(), found.name(), "scale", &patch)
                .await
                .map_err(kubectl_failure)?;
            output::line(&format!("{} scaled", found.title()));
        }
        Ok(Exit::Success)
    }
}
