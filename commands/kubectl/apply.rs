//! `kubectl apply`: server-side apply of manifests, one result line per object.

mod prune;

use clap::Args;
use serde_json::{Value, json};

use super::manifests::{self, Manifests};
use super::session::{Session, error};
use super::target::mapping;
use super::written;
use crate::exit::{Exit, Failure, Outcome};
use crate::files::{self, Input};
use crate::kubernetes::{ApplyOptions, Discovery, Resource, kubectl_failure, kubectl_failure_while, text};
use crate::output;
use prune::{Applied, Prune};

#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    manifests: Manifests,
    /// Always so here; accepted because scripts give it
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<bool>,
    /// Report conflicts with other field managers instead of taking the fields over
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    force_conflicts: bool,
    /// Print, or let the server check, but do not keep: none, client, server
    #[arg(long, value_name = "WHERE", default_value = "none", value_parser = ["none", "client", "server"])]
    dry_run: String,
    /// What unknown fields are: strict, warn, ignore
    #[arg(long, value_name = "HOW", default_value = "strict", value_parser = ["strict", "true", "warn", "ignore", "false"])]
    validate: String,
    /// Print the objects instead of result lines: json, yaml, name
    #[arg(short, long, value_parser = ["json", "yaml", "name"])]
    output: Option<String>,
    /// Name of the field manager
    #[arg(long, value_name = "NAME", default_value = "kubectl")]
    field_manager: String,
    #[command(flatten)]
    prune: Prune,
}

impl Apply {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let selector = self.prune.check()?;
        let inputs = self.manifests.read(session).await.map_err(client_side)?;
        let mut count = 0usize;
        let mut applied = Applied::default();
        let mut failed = false;
        for input in &inputs {
            for object in files::documents(input).map_err(client_side)? {
                if !selector.matches(&object["metadata"]["labels"]) {
                    continue;
                }
                count += 1;
                match self.object(session, input, object).await {
                    Ok(after) => applied.add(&after),
                    Err(failure) => {
                        output::progress(&format!(
                            "{}{}",
                            failure.prefix,
                            crate::exit::chain(&failure.error)
                        ));
                        failed = true;
                    }
                }
            }
        }
        if !failed {
            self.prune.run(session, &applied, &self.field_manager, &self.dry_run).await?;
        }
        if count == 0 {
            return Err(error("no objects passed to apply"));
        }
        Ok(if failed { Exit::Failure } else { Exit::Success })
    }

    async fn object(&self, session: &Session, input: &Input, mut object: Value) -> Result<Value, Failure> {
        let resource = self.resource(session, &object, &input.name).await?;
        let name = text(&object, "/metadata/name").to_owned();
        if name.is_empty() {
            return Err(error(format!(
                "error when retrieving current configuration of \"{}\": resource name may not be empty",
                input.name
            )));
        }
        let own = text(&object, "/metadata/namespace").to_owned();
        if resource.namespaced && own.is_empty() {
            object["metadata"]["namespace"] = json!(session.namespace);
        } else if session.namespace_given && resource.namespaced && own != session.namespace {
            return Err(error(format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
                session.namespace
            )));
        }
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let namespace = Some(namespace.as_str()).filter(|_| resource.namespaced);
        let before = session.objects.get(&resource, namespace, &name).await.map_err(kubectl_failure)?;
        if self.dry_run == "client" {
            self.print(&resource, before.as_ref(), &object)?;
            return Ok(before.unwrap_or(object));
        }
        let options = ApplyOptions {
            manager: &self.field_manager,
            force: self.force_conflicts,
            dry_run: self.dry_run == "server",
            validation: match self.validate.as_str() {
                "warn" => "Warn",
                "ignore" | "false" => "Ignore",
                _ => "Strict",
            },
        };
        let after = session.objects.apply(&resource, &object, options).await.map_err(|failure| {
            let verb = if before.is_some() { "applying patch from" } else { "creating" };
            kubectl_failure_while(failure, &format!("error when {verb} \"{}\"", input.name))
        })?;
        self.print(&resource, before.as_ref(), &after)?;
        Ok(after)
    }

    /// The type; a kind that appeared only now (its CRD came earlier in the same files) is asked for again.
    async fn resource(&self, session: &Session, object: &Value, file: &str) -> Result<Resource, Failure> {
        let missing = match mapping(session, object, file).await {
            Ok(resource) => return Ok(resource),
            Err(missing) => missing,
        };
        let fresh = Discovery::load(&session.cluster.client).await.map_err(kubectl_failure)?;
        fresh.of(object).cloned().ok_or(missing)
    }

    fn print(&self, resource: &Resource, before: Option<&Value>, after: &Value) -> Result<(), Failure> {
        let title = format!("{}/{}", resource.qualified_singular(), text(after, "/metadata/name"));
        let version = |object: &Value| text(object, "/metadata/resourceVersion").to_owned();
        let result = match before {
            None => "created",
            Some(before) if version(before) == version(after) => "unchanged",
            Some(_) => "configured",
        };
        let what = format!("{result}{}", written::dry_run(&self.dry_run));
        written::tell(self.output.as_deref(), after, &title, &what)
    }
}

#[derive(Debug, Args)]
pub(super) struct Kustomize {
    /// Where the kustomization is
    #[arg(value_name = "FOLDER")]
    name: String,
}

impl Kustomize {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        output::data(&manifests::kustomized(session, &self.name)?.text);
        Ok(Exit::Success)
    }
}

/// Errors about files begin as kubectl's do.
fn client_side(failure: Failure) -> Failure {
    Failure { prefix: "error: ", ..failure }
}
