//! `kubectl version`.

use clap::Args;
use serde_json::json;

use super::session::Session;
use crate::exit::{Exit, Outcome};
use crate::kubernetes::{kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Version {
    /// json, yaml
    #[arg(short, long, value_parser = ["json", "yaml"])]
    output: Option<String>,
    /// Ask no server
    #[arg(long)]
    client: bool,
}

impl Version {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = format!("v{}", crate::version::VERSION);
        let mut report = json!({"clientVersion": {"gitVersion": client}});
        if !self.client {
            let server = session.objects.get_path("/version", None).await.map_err(kubectl_failure)?;
            report["serverVersion"] = server;
        }
        match self.output.as_deref() {
            Some("json") => output::data(&output::to_json(&report)?),
            Some(_) => output::data(&output::to_yaml(&report)?),
            None => {
                output::line(&format!("Client Version: {client} (sagene)"));
                if !self.client {
                    output::line(&format!("Server Version: {}", text(&report, "/serverVersion/gitVersion")));
                }
            }
        }
        Ok(Exit::Success)
    }
}
