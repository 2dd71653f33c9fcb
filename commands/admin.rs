//! `admin log`: the log levels of a running control plane, through its ControlZ port.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{PodName, http_get, http_send, pods_named, pods_selected};
use crate::output::{self, Table, View};

const LEVELS: [&str; 5] = ["none", "error", "warn", "info", "debug"];

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct AdminCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Show or set log levels of the control plane
    #[command(alias = "l")]
    Log(Log),
}

#[derive(Debug, Args)]
struct Log {
    /// Pod of the control plane; the first of the selector when none is named
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "app=istiod")]
    selector: String,
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
    /// [scope:]level, separated by commas; a level alone is for every scope. Levels: none, error, warn, info, debug
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', conflicts_with_all = ["reset", "log_reset"])]
    level: Vec<String>,
    /// Every scope back to info
    #[arg(long)]
    reset: bool,
    /// The same as --reset
    #[arg(long)]
    log_reset: bool,
    /// ControlZ port of the pod
    #[arg(long = "ctrlz_port", value_name = "PORT", default_value_t = 9876)]
    ctrlz_port: u16,
    /// Format: short, json, yaml
    #[arg(short, long, default_value = "short")]
    output: View,
}

/// A scope as ControlZ tells it.
#[derive(Debug, Deserialize)]
struct Scope {
    name: String,
    description: String,
    output_level: String,
    stack_trace_level: String,
}

/// A scope as the command prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    scope_name: &'a str,
    log_level: &'a str,
    stack_trace_level: &'a str,
    description: &'a str,
}

impl AdminCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Subcommands::Log(log) => crate::runtime::block_on(log.run(context)),
        }
    }
}

impl Log {
    async fn run(self, context: &Context) -> Outcome {
        let changes = self.changes()?;
        let cluster = context.cluster().await?;
        let pod = self.find(context, &cluster).await?;
        let text = http_get(&cluster.client, &pod.namespace, &pod.name, self.ctrlz_port, "/scopej").await?;
        let scopes: Vec<Scope> = serde_json::from_str(&text)
            .map_err(|error| Failure::from(error).context(format!("{}: not ControlZ", pod.name)))?;
        if changes.is_empty() {
            return self.print(&scopes);
        }
        for (wanted, level) in &changes {
            let concerned: Vec<&Scope> =
                scopes.iter().filter(|scope| wanted.is_none_or(|name| scope.name == name)).collect();
            if let (Some(name), true) = (wanted, concerned.is_empty()) {
                let known: Vec<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
                return Err(Failure::new(format!("unknown scope {name:?}"))
                    .hint(format!("scopes: {}", known.join(", "))));
            }
            for scope in concerned {
                let body = json!({"name": scope.name, "output_level": level, "stack_trace_level": "none"});
                let path = format!("/scopej/{}", scope.name);
                let body = body.to_string();
                http_send(&cluster.client, &pod, self.ctrlz_port, "PUT", &path, body).await?;
            }
        }
        Ok(Exit::Success)
    }

    /// Scope (none: all) and level.
    fn changes(&self) -> Result<Vec<(Option<&str>, &str)>, Failure> {
        if self.reset || self.log_reset {
            return Ok(vec![(None, "info")]);
        }
        self.level.iter().map(|entry| change(entry)).collect()
    }

    async fn find(&self, context: &Context, cluster: &Cluster) -> Result<PodName, Failure> {
        let namespace = &context.globals.istio_namespace;
        let pods = match &self.pod {
            Some(name) => pods_named(cluster, name, namespace).await?,
            None => {
                let mut selector = self.selector.clone();
                if !self.revision.is_empty() {
                    selector.push_str(&format!(",istio.io/rev={}", self.revision));
                }
                pods_selected(cluster, &selector, namespace).await?
            }
        };
        pods.into_iter().next().ok_or_else(|| {
            Failure::new(format!("no pods of the control plane in namespace {namespace:?}"))
                .hint("-i names the namespace of the control plane, -l its label")
        })
    }

    fn print(&self, scopes: &[Scope]) -> Outcome {
        let lines: Vec<Line<'_>> = scopes
            .iter()
            .map(|scope| Line {
                scope_name: &scope.name,
                log_level: &scope.output_level,
                stack_trace_level: &scope.stack_trace_level,
                description: &scope.description,
            })
            .collect();
        match self.output {
            View::Json => output::data(&output::to_json(&lines)?),
            View::Yaml => output::data(&output::to_yaml(&lines)?),
            View::Short => {
                let mut table =
                    Table::new(["ACTIVE SCOPE", "DESCRIPTION", "LOG LEVEL", "STACK TRACE LEVEL"], 3);
                for line in &lines {
                    table.row([line.scope_name, line.description, line.log_level, line.stack_trace_level]);
                }
                output::data(&table.render());
            }
        }
        Ok(Exit::Success)
    }
}

/// `[scope:]level`.
fn change(entry: &str) -> Result<(Option<&str>, &str), Failure> {
    let (scope, level) = match entry.rsplit_once(':') {
        Some((scope, level)) => (Some(scope), level),
        None => (None, entry),
    };
    if LEVELS.contains(&level) {
        return Ok((scope, level));
    }
    Err(Failure::usage(format!("{level:?} is no log level")).hint(format!("levels: {}", LEVELS.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_for_a_scope_or_for_all() {
        assert_eq!(change("xds:debug").expect("a level"), (Some("xds"), "debug"));
        assert_eq!(change("none").expect("a level"), (None, "none"));
        assert!(change("xds:loud").is_err());
    }
}
