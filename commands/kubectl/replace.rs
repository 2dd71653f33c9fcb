//! `kubectl replace`: objects exactly as the manifests say.

use clap::Args;
use serde_json::{Value, json};

use super::manifests;
use super::session::{Session, error};
use super::target::mapping;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{kubectl_failure_while, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Replace {
    /// Manifest, directory or - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Delete what is there and create it anew
    #[arg(long)]
    force: bool,
}

impl Replace {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let mut replaced = 0usize;
        for name in &self.filename {
            for input in manifests::read(session, name, self.recursive).await? {
                for object in files::documents(&input)? {
                    self.one(session, object, &input.name).await?;
                    replaced += 1;
                }
            }
        }
        if replaced == 0 { Err(error("no objects passed to replace")) } else { Ok(Exit::Success) }
    }

    async fn one(&self, session: &Session, mut object: Value, file: &str) -> Result<(), Failure> {
        let resource = mapping(session, &object, file).await?;
        if resource.namespaced && text(&object, "/metadata/namespace").is_empty() {
            object["metadata"]["namespace"] = json!(session.namespace);
        }
        let failed = |failure| kubectl_failure_while(failure, &format!("error when replacing \"{file}\""));
        let (name, namespace) =
            (text(&object, "/metadata/name").to_owned(), text(&object, "/metadata/namespace").to_owned());
        let namespace = Some(namespace.as_str()).filter(|_| resource.namespaced);
        if self.force {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
            let deleted =
                session.objects.delete(&resource, namespace, &name, &options).await.map_err(failed)?;
            if deleted.is_some() {
                output::line(&format!("{} \"{name}\" deleted", resource.qualified_singular()));
                super::delete::until_absent(session, &resource, namespace, &name).await?;
            }
            session.objects.create(&resource, namespace, &object, false).await.map_err(failed)?;
        } else {
            session.objects.replace(&resource, &object).await.map_err(failed)?;
        }
        output::line(&format!("{}/{name} replaced", resource.qualified_singular()));
        Ok(())
    }
}
