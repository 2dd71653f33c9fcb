//! `kubectl create`: objects from files, or a namespace.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::session::{Session, error};
use super::target::mapping;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{Resource, kubectl_failure, kubectl_failure_while, text};
use crate::output;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Create {
    /// Manifest, directory or - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A namespace
    #[command(alias = "ns")]
    Namespace {
        /// Its name
        name: String,
        /// Print or check, but do not create: none, client, server
        #[arg(long, default_value = "none", value_parser = ["none", "client", "server"])]
        dry_run: String,
        /// Print the object: yaml, json
        #[arg(short, long, value_parser = ["yaml", "json"])]
        output: Option<String>,
    },
}

impl Create {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        match &self.what {
            Some(What::Namespace { name, dry_run, output }) => {
                namespace(session, name, dry_run, output.as_deref()).await
            }
            None if self.filename.is_empty() => {
                Err(error("must specify one of -f or a resource type, such as namespace"))
            }
            None => self.files(session).await,
        }
    }

    async fn files(&self, session: &Session) -> Outcome {
        let mut created = 0usize;
        for name in &self.filename {
            for input in files::read(name, self.recursive)? {
                for mut object in files::documents(&input)? {
                    let resource = mapping(session, &object, &input.name).await?;
                    if resource.namespaced && text(&object, "/metadata/namespace").is_empty() {
                        object["metadata"]["namespace"] = json!(session.namespace);
                    }
                    let namespace = text(&object, "/metadata/namespace").to_owned();
                    let namespace = Some(namespace.as_str()).filter(|_| resource.namespaced);
                    let answer = session.objects.create(&resource, namespace, &object, false).await;
                    let answer = answer.map_err(|failure| {
                        kubectl_failure_while(failure, &format!("error when creating \"{}\"", input.name))
                    })?;
                    output::line(&format!(
                        "{}/{} created",
                        resource.qualified_singular(),
                        text(&answer, "/metadata/name")
                    ));
                    created += 1;
                }
            }
        }
        if created == 0 { Err(error("no objects passed to create")) } else { Ok(Exit::Success) }
    }
}

async fn namespace(session: &Session, name: &str, dry_run: &str, format: Option<&str>) -> Outcome {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let answer: Value = if dry_run == "client" {
        object
    } else {
        let answer =
            session.objects.create(&Resource::namespaces(), None, &object, dry_run == "server").await;
        answer.map_err(kubectl_failure)?
    };
    print(&answer, dry_run, format)?;
    Ok(Exit::Success)
}

fn print(answer: &Value, dry_run: &str, format: Option<&str>) -> Result<(), Failure> {
    match format {
        Some("json") => output::data(&output::to_json(answer)?),
        Some(_) => output::data(&output::to_yaml(answer)?),
        None => {
            let suffix = match dry_run {
                "client" => " (dry run)",
                "server" => " (server dry run)",
                _ => "",
            };
            output::line(&format!("namespace/{} created{suffix}", text(answer, "/metadata/name")));
        }
    }
    Ok(())
}
