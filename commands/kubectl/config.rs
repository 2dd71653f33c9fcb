//! `kubectl config`: contexts of the kubeconfig, and the namespace that commands without `-n` mean.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::session::error;
use crate::context::{Context, Source};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Print the current context
    CurrentContext,
    /// List contexts
    GetContexts {
        /// Only this one
        name: Option<String>,
        /// Print names only: name
        #[arg(short, long, value_parser = ["name"])]
        output: Option<String>,
        /// No header line
        #[arg(long)]
        no_headers: bool,
    },
    /// Make another context the current one
    #[command(alias = "use")]
    UseContext {
        /// Its name
        name: String,
    },
    /// Set the namespace, cluster or user of a context
    SetContext {
        /// Its name
        #[arg(required_unless_present = "current")]
        name: Option<String>,
        /// The current one
        #[arg(long, conflicts_with = "name")]
        current: bool,
        /// Its cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Its user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Print the kubeconfig, without its secrets
    View {
        /// Only what the current context needs
        #[arg(long)]
        minify: bool,
        /// With keys and certificates
        #[arg(long)]
        raw: bool,
        /// yaml, json, jsonpath=TEMPLATE
        #[arg(short, long, default_value = "yaml")]
        output: String,
    },
}

/// A kubeconfig as it is in its file, so that nothing unknown gets lost.
struct File {
    path: PathBuf,
    content: Value,
}

impl Config {
    /// Works on files alone: no cluster has to be there.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let mut file = File::open(context)?;
        match self.command {
            Subcommands::CurrentContext => output::line(file.current()?),
            Subcommands::GetContexts { name, output, no_headers } => {
                file.list(name.as_deref(), output.is_some(), !no_headers)?;
            }
            Subcommands::UseContext { name } => {
                if file.find("contexts", &name).is_none() {
                    return Err(error(format!("no context exists with the name: \"{name}\"")));
                }
                file.content["current-context"] = json!(name);
                file.write()?;
                output::line(&format!("Switched to context \"{name}\"."));
            }
            Subcommands::SetContext { name, current: _, cluster, user } => {
                let name = match name {
                    Some(name) => name,
                    None => file.current()?.to_owned(),
                };
                let namespace = context.globals.namespace.clone();
                let created =
                    file.set(&name, [("namespace", namespace), ("cluster", cluster), ("user", user)]);
                file.write()?;
                let word = if created { "created" } else { "modified" };
                output::line(&format!("Context \"{name}\" {word}."));
            }
            Subcommands::View { minify, raw, output } => file.view(minify, raw, &output)?,
        }
        Ok(Exit::Success)
    }
}

impl File {
    /// The file that commands read: of several in `KUBECONFIG` the first.
    fn open(context: &Context) -> Result<Self, Failure> {
        let path = match Source::file(&context.globals) {
            Some(path) => path,
            None => return Err(error("current-context is not set: there is no kubeconfig")),
        };
        let text =
            std::fs::read_to_string(&path).map_err(|cause| error(format!("{}: {cause}", path.display())))?;
        let content: Value =
            sagene_api::yaml::value(&text).map_err(|cause| error(format!("{}: {cause}", path.display())))?;
        Ok(Self { path, content })
    }

    fn write(&self) -> Result<(), Failure> {
        let failed = |cause: std::io::Error| error(format!("{}: {cause}", self.path.display()));
        let draft = Path::new(&format!("{}.new", self.path.display())).to_path_buf();
        std::fs::write(&draft, output::to_yaml(&self.content)?).map_err(failed)?;
        let rights = std::fs::metadata(&self.path).map_err(failed)?.permissions();
        std::fs::set_permissions(&draft, rights).map_err(failed)?;
        std::fs::rename(&draft, &self.path).map_err(failed)
    }

    fn current(&self) -> Result<&str, Failure> {
        let name = self.content["current-context"].as_str().filter(|name| !name.is_empty());
        name.ok_or_else(|| error("current-context is not set"))
    }

    fn find(&self, list: &str, name: &str) -> Option<&Value> {
        self.content[list].as_array()?.iter().find(|entry| entry["name"] == name)
    }

    /// Whether the context is new.
    fn set(&mut self, name: &str, fields: [(&str, Option<String>); 3]) -> bool {
        if !self.content["contexts"].is_array() {
            self.content["contexts"] = json!([]);
        }
        let Some(contexts) = self.content["contexts"].as_array_mut() else { return false };
        let known = contexts.iter().position(|entry| entry["name"] == name);
        let index = known.unwrap_or_else(|| {
            contexts.push(json!({"name": name, "context": {"cluster": "", "user": ""}}));
            contexts.len() - 1
        });
        for (field, value) in fields {
            if let Some(value) = value {
                contexts[index]["context"][field] = json!(value);
            }
        }
        known.is_none()
    }

    fn list(&self, wanted: Option<&str>, names: bool, header: bool) -> Result<(), Failure> {
        let contexts = self.content["contexts"].as_array().cloned().unwrap_or_default();
        let chosen: Vec<&Value> =
            contexts.iter().filter(|entry| wanted.is_none_or(|name| entry["name"] == name)).collect();
        if let (Some(name), true) = (wanted, chosen.is_empty()) {
            return Err(error(format!("context {name} not found")));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if names {
            chosen.iter().for_each(|entry| output::line(&text(&entry["name"])));
            return Ok(());
        }
        let mut table = Table::new(["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"], 3);
        for entry in chosen {
            let mark = if entry["name"] == self.content["current-context"] { "*" } else { "" };
            let of = |field: &str| text(&entry["context"][field]);
            table.row(vec![
                mark.to_owned(),
                text(&entry["name"]),
                of("cluster"),
                of("user"),
                of("namespace"),
            ]);
        }
        let table = if header { table } else { table.without_header() };
        output::data(&table.render());
        Ok(())
    }

    fn view(&self, minify: bool, raw: bool, format: &str) -> Result<(), Failure> {
        let mut shown = self.content.clone();
        if minify {
            let current = self.current()?;
            let entry = self.find("contexts", current).cloned().unwrap_or_default();
            let keep = |list: &str, name: &Value| {
                let found = name.as_str().and_then(|name| self.find(list, name));
                json!(found.into_iter().collect::<Vec<_>>())
            };
            shown["clusters"] = keep("clusters", &entry["context"]["cluster"]);
            shown["users"] = keep("users", &entry["context"]["user"]);
            shown["contexts"] = json!([entry]);
        }
        if !raw {
            hide(&mut shown);
        }
        match format.split_once('=') {
            None if format == "yaml" => output::data(&output::to_yaml(&shown)?),
            None if format == "json" => output::data(&output::to_json(&shown)?),
            Some(("jsonpath", template)) => {
                output::data(&super::jsonpath::render(template, &shown).map_err(error)?);
            }
            _ => {
                return Err(error(format!(
                    "unable to match a printer suitable for the output format \"{format}\", allowed formats are: json,jsonpath,yaml"
                )));
            }
        }
        Ok(())
    }
}

/// Puts kubectl's marks in the place of secrets.
fn hide(config: &mut Value) {
    let marks = [
        ("clusters", "cluster", "certificate-authority-data", "DATA+OMITTED"),
        ("users", "user", "client-certificate-data", "DATA+OMITTED"),
        ("users", "user", "client-key-data", "DATA+OMITTED"),
        ("users", "user", "token", "REDACTED"),
        ("users", "user", "password", "REDACTED"),
    ];
    for (list, part, field, mark) in marks {
        for entry in config[list].as_array_mut().into_iter().flatten() {
            if let Some(value) = entry.pointer_mut(&format!("/{part}/{field}")) {
                *value = json!(mark);
            }
        }
    }
}
