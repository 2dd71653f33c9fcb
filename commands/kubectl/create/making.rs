//! How objects from the command line are made: on the server, or only printed.

use clap::Args;
use kube::Error;
use serde_json::{Value, json};

use super::super::session::Session;
use crate::exit::Failure;
use crate::kubectl::written;
use crate::kubernetes::{Resource, kubectl_failure, text};

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
        // What is only printed names a namespace where one was given, as kubectl has it.
        let matters = session.namespace_given || self.dry_run != "client";
        if let Some(namespace) = session.namespace_for(resource).filter(|_| matters) {
            object["metadata"]["namespace"] = json!(namespace);
        }
        self.create_as_it_is(session, resource, object, verb, kubectl_failure).await
    }

    /// The same for an object that names its namespace itself; `failed` words what the server says.
    pub(in crate::kubectl) async fn create_as_it_is(
        &self,
        session: &Session,
        resource: &Resource,
        mut object: Value,
        verb: &str,
        failed: impl FnOnce(Error) -> Failure,
    ) -> Result<(), Failure> {
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let namespace = Some(namespace.as_str()).filter(|_| resource.namespaced);
        if self.dry_run != "client" {
            let answer = session.objects.create(resource, namespace, &object, self.dry_run == "server").await;
            object = answer.map_err(failed)?;
        }
        let title = format!("{}/{}", resource.qualified_singular(), text(&object, "/metadata/name"));
        let what = format!("{verb}{}", written::dry_run(&self.dry_run));
        written::tell(self.output.as_deref(), &object, &title, &what)
    }
}
