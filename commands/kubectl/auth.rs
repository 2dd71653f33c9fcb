//! `kubectl auth can-i` and `auth whoami`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct Auth {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Say whether something is allowed: yes or no
    CanI(CanI),
    /// Say who the server takes the caller for
    Whoami,
}

#[derive(Debug, Args)]
struct CanI {
    /// get, list, create, … or *
    verb: String,
    /// Type, type/name, or a path that begins with /
    #[arg(value_name = "TYPE[/NAME] | /PATH")]
    what: String,
    /// Name of the object
    name: Option<String>,
    /// A part of the objects, such as log
    #[arg(long, value_name = "NAME", default_value = "")]
    subresource: String,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only the exit code
    #[arg(short, long)]
    quiet: bool,
}

impl Auth {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Subcommands::CanI(question) => question.run(session).await,
            Subcommands::Whoami => whoami(session).await,
        }
    }
}

impl CanI {
    async fn run(self, session: &Session) -> Outcome {
        let kind = Resource::known(
            "authorization.k8s.io",
            "v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            false,
        );
        let spec = self.spec(session).await?;
        let review = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "spec": spec});
        let answer = session.objects.create(&kind, None, &review, false).await.map_err(kubectl_failure)?;
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or_default();
        if !self.quiet {
            let reason = text(&answer, "/status/reason");
            let reason = if allowed || reason.is_empty() { String::new() } else { format!(" - {reason}") };
            output::line(&format!("{}{reason}", if allowed { "yes" } else { "no" }));
        }
        Ok(if allowed { Exit::Success } else { Exit::Failure })
    }

    async fn spec(&self, session: &Session) -> Result<Value, Failure> {
        if self.what.starts_with('/') {
            return Ok(json!({"nonResourceAttributes": {"verb": self.verb, "path": self.what}}));
        }
        let (kind, in_kind) = match self.what.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (self.what.as_str(), None),
        };
        if in_kind.is_some() && self.name.is_some() {
            return Err(error("the name is given twice"));
        }
        let name = in_kind.or(self.name.as_deref()).unwrap_or_default();
        let (group, plural, namespaced) = if kind == "*" {
            ("*".to_owned(), "*".to_owned(), true)
        } else {
            let resource = session.resource(kind).await?;
            (resource.group, resource.plural, resource.namespaced)
        };
        let namespace = if namespaced && !self.all_namespaces { session.namespace.as_str() } else { "" };
        Ok(json!({"resourceAttributes": {
            "verb": self.verb, "group": group, "resource": plural, "subresource": self.subresource,
            "name": name, "namespace": namespace,
        }}))
    }
}

async fn whoami(session: &Session) -> Outcome {
    let kind =
        Resource::known("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", false);
    let review = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    let answer = session.objects.create(&kind, None, &review, false).await.map_err(kubectl_failure)?;
    let mut table = Table::new(["ATTRIBUTE", "VALUE"], 3);
    table.row(["Username", text(&answer, "/status/userInfo/username")]);
    let groups = answer.pointer("/status/userInfo/groups").and_then(Value::as_array);
    let groups: Vec<&str> = groups.into_iter().flatten().filter_map(Value::as_str).collect();
    if !groups.is_empty() {
        table.row(["Groups".to_owned(), format!("[{}]", groups.join(" "))]);
    }
    output::data(&table.render());
    Ok(Exit::Success)
}
