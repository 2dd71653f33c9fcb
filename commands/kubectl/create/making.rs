//! How objects from the command line are made: on the server, or only printed.

use clap::Args;
use serde_json::{Value, json};

use super::super::session::Session;
use crate::exit::Failure;
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(in crate::kubectl) struct Making {
    /// Print or check, but do not create: none, client, server
    #[arg(long, default_value = "none", value_parser = ["none", "client", "server"])]
    dry_run: String,
    /// Print the object: yaml, json, name
    #[arg(short, long, value_parser = ["yaml", "json", "name"])]
    output: Option<String>,
}

impl Making {
    /// Creates an object in the session's namespace and says so with a verb such as `created`.
    pub(in crate::kubectl) async fn create(
        &self,
        session: &Session,
        resource: &Resource,
        mut object: Value,
        verb: &str,
    ) -> Result<(), Failure> {
        let namespace = session.namespace_for(resource);
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if self.dry_run != "client" {
            let answer = session.objects.create(resource, namespace, &object, self.dry_run == "server").await;
            object = answer.map_err(kubectl_failure)?;
        }
        let title = format!("{}/{}", resource.qualified_singular(), text(&object, "/metadata/name"));
        match self.output.as_deref() {
            Some("json") => output::data(&output::to_json(&object)?),
            Some("yaml") => output::data(&output::to_yaml(&object)?),
            Some(_) => output::line(&title),
            None => {
                let suffix = match self.dry_run.as_str() {
                    "client" => " (dry run)",
                    "server" => " (server dry run)",
                    _ => "",
                };
                output::line(&format!("{title} {verb}{suffix}"));
            }
        }
        Ok(())
    }
}
