//! `kubectl patch`: changes fields of objects by a strategic merge patch, a JSON merge patch or a JSON patch.

use clap::Args;
use serde_json::Value;

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use super::written;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{kubectl_failure, text};

#[derive(Debug, Args)]
pub(super) struct Patch {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The patch, JSON or YAML
    #[arg(
        short,
        long,
        value_name = "PATCH",
        required_unless_present = "patch_file",
        allow_hyphen_values = true
    )]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long, value_name = "FILE", conflicts_with = "patch")]
    patch_file: Option<String>,
    /// Kind of the patch: json, merge, strategic
    #[arg(long = "type", value_name = "TYPE", default_value = "strategic", value_parser = ["json", "merge", "strategic"])]
    kind: String,
    /// A part of the object: status, scale
    #[arg(long, value_name = "NAME", default_value = "")]
    subresource: String,
    /// Let the server check, but not keep: none, server
    #[arg(long, value_name = "WHERE", default_value = "none", value_parser = ["none", "server"])]
    dry_run: String,
    /// Print the objects instead of result lines: json, yaml, name
    #[arg(short, long, value_parser = ["json", "yaml", "name"])]
    output: Option<String>,
    /// Name of the field manager
    #[arg(long, value_name = "NAME", default_value = "kubectl-patch")]
    field_manager: String,
}

impl Patch {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let patch = self.read()?;
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            let after = self.one(session, &found, &patch).await?;
            self.print(&found, &after)?;
        }
        Ok(Exit::Success)
    }

    fn read(&self) -> Result<Value, Failure> {
        let given = match (&self.patch, &self.patch_file) {
            (Some(patch), _) => patch.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|cause| error(format!("unable to read patch file {file}: {cause}")))?,
            (None, None) => String::new(),
        };
        let patch: Value = sagene_api::yaml::value(&given)
            .map_err(|cause| error(format!("unable to parse \"{given}\": {cause}")))?;
        match (self.kind.as_str(), &patch) {
            ("json", Value::Array(_)) | ("merge" | "strategic", Value::Object(_)) => Ok(patch),
            ("json", _) => Err(error("a patch of --type json is a list of operations")),
            _ => Err(error("the patch is no object; a list of operations needs --type json")),
        }
    }

    async fn one(&self, session: &Session, found: &Found, patch: &Value) -> Result<Value, Failure> {
        let media_type = match self.kind.as_str() {
            "json" => "application/json-patch+json",
            "merge" => "application/merge-patch+json",
            _ => "application/strategic-merge-patch+json",
        };
        let query = [
            ("fieldManager", self.field_manager.as_str()),
            ("dryRun", if self.dry_run == "server" { "All" } else { "" }),
        ];
        let (resource, namespace) = (&found.resource, found.namespace());
        session
            .objects
            .patch(resource, namespace, found.name(), &self.subresource, (media_type, patch), &query)
            .await
            .map_err(|failure| refused(failure, found, &self.kind))
    }

    fn print(&self, found: &Found, after: &Value) -> Result<(), Failure> {
        let version = |object: &Value| text(object, "/metadata/resourceVersion").to_owned();
        let same = self.subresource.is_empty() && version(&found.object) == version(after);
        let suffix = match (self.dry_run.as_str(), same) {
            ("server", _) => written::dry_run("server"),
            (_, true) => " (no change)",
            _ => "",
        };
        written::tell(self.output.as_deref(), after, &found.title(), &format!("patched{suffix}"))
    }
}

/// Types that the server does not know the lists of take no strategic patch: the default of `--type` meets them often.
fn refused(failure: kube::Error, found: &Found, kind: &str) -> Failure {
    let unsupported = matches!(&failure, kube::Error::Api(status) if status.code == 415);
    let failure = kubectl_failure(failure);
    if unsupported && kind == "strategic" {
        return failure.hint(format!("{} takes --type merge and --type json", found.resource.qualified()));
    }
    failure
}
