//! `kubectl version`.

use clap::Args;
use serde_json::json;

use super::session::Session;
use crate::exit::{Exit, Outcome};
use crate::kubernetes::kubectl_failure;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Version {
    /// json, yaml
    #[arg(short, long, value_parser = ["json", "yaml"])]
    output: Option<String>,
}

impl Version {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let server = session.objects.get_path("/version", None).await.map_err(kubectl_failure)?;
        let client = format!("v{}", crate::version::VERSION);
        let report = json!({"clientVersion": {"gitVersion": client}, "serverVersion": server});
        match self.output.as_deref() {
            Some("json") => output::data(&output::to_json(&report)?),
            Some(_) => output::data(&output::to_yaml(&report)?),
            None => {
                output::line(&format!("Client Version: {client} (sagene)"));
                output::line(&format!("Server Version: {}", crate::kubernetes::text(&server, "/gitVersion")));
            }
        }
        Ok(Exit::Success)
    }
}
