//! `kubectl diff`: what applying manifests would change, as a unified diff of what there is and the server's answer to a dry run.

use clap::Args;
use serde_json::{Value, json};

use super::manifests::Manifests;
use super::session::Session;
use super::target::mapping;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{ApplyOptions, kubectl_failure, text};
use crate::output;

/// What `diff` of the machine answers where there are differences is 1; trouble is more.
const TROUBLE: Exit = Exit::Program(2);

#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    manifests: Manifests,
    /// Always so here; accepted because scripts give it
    #[arg(long, hide = true)]
    server_side: bool,
    /// Report conflicts with other field managers instead of taking the fields over: --force-conflicts=false
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    force_conflicts: bool,
    /// Name of the field manager
    #[arg(long, value_name = "NAME", default_value = "kubectl")]
    field_manager: String,
    /// Show metadata.managedFields too
    #[arg(long)]
    show_managed_fields: bool,
}

impl Diff {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let trouble = |failure: Failure| match failure.prefix {
            "Error: " => Failure { exit: TROUBLE, prefix: "error: ", ..failure },
            _ => Failure { exit: TROUBLE, ..failure },
        };
        let different = self.all(session).await.map_err(trouble)?;
        Ok(if different { Exit::Failure } else { Exit::Success })
    }

    /// Whether anything would change.
    async fn all(&self, session: &Session) -> Result<bool, Failure> {
        let inputs = self.manifests.read(session).await?;
        let mut different = false;
        for input in &inputs {
            for object in files::documents(input)? {
                let difference = self.object(session, &input.name, object).await?;
                output::data(&difference);
                different |= !difference.is_empty();
            }
        }
        Ok(different)
    }

    async fn object(&self, session: &Session, file: &str, mut object: Value) -> Result<String, Failure> {
        let resource = mapping(session, &object, file).await?;
        if resource.namespaced && text(&object, "/metadata/namespace").is_empty() {
            object["metadata"]["namespace"] = json!(session.namespace);
        }
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let namespace = Some(namespace.as_str()).filter(|_| resource.namespaced);
        let name = text(&object, "/metadata/name").to_owned();
        let live = session.objects.get(&resource, namespace, &name).await.map_err(kubectl_failure)?;
        let options = ApplyOptions {
            manager: &self.field_manager,
            force: self.force_conflicts,
            dry_run: true,
            validation: "Strict",
        };
        let merged = session.objects.apply(&resource, &object, options).await.map_err(kubectl_failure)?;
        let version = resource.api_version().replace('/', ".");
        let file = format!("{version}.{}.{}.{name}", resource.kind, namespace.unwrap_or_default());
        let (before, after) = (self.text(live.as_ref())?, self.text(Some(&merged))?);
        Ok(unified(&file, &before, &after))
    }

    /// The object as YAML, without what changes by the mere asking; nothing for one that is not there.
    fn text(&self, object: Option<&Value>) -> Result<String, Failure> {
        let Some(object) = object else { return Ok(String::new()) };
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            if !self.show_managed_fields {
                metadata.remove("managedFields");
            }
            metadata.remove("resourceVersion");
        }
        output::to_yaml(&object)
    }
}

/// A unified diff as `diff -u -N` prints it, with its command line before; nothing where both are the same.
fn unified(file: &str, before: &str, after: &str) -> String {
    let (live, merged) = (format!("LIVE/{file}"), format!("MERGED/{file}"));
    match crate::profile::unified(&live, before, &merged, after) {
        same if same.is_empty() => same,
        changes => format!("diff -u -N {live} {merged}\n{changes}"),
    }
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn differences_begin_with_the_names_of_both_sides() {
        assert_eq!(unified("v1.Service.default.a", "x: 1\n", "x: 1\n"), "");
        let difference = unified("v1.Service.default.a", "x: 1\n", "x: 2\n");
        let lines: Vec<&str> = difference.lines().collect();
        assert_eq!(lines[0], "diff -u -N LIVE/v1.Service.default.a MERGED/v1.Service.default.a");
        assert_eq!(lines[1..3], ["--- LIVE/v1.Service.default.a", "+++ MERGED/v1.Service.default.a"]);
        assert!(difference.ends_with("-x: 1\n+x: 2\n"), "{difference}");
    }
}
