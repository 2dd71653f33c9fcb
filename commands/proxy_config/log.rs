//! `proxy-config log`: shows or sets the log levels of proxies.

use clap::Args;

use super::Ask;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{
    Objects, PodName, Resource, http_request, pods_named, pods_selected, server_failure, text,
};
use crate::output;
use crate::output::View;

#[derive(Debug, Clone, Args)]
pub(super) struct Log {
    /// Pod or workload: [type/]name[.namespace]; all pods of a workload
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]", required_unless_present = "selector")]
    name: Option<String>,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "name")]
    selector: Option<String>,
    /// [logger:]level, separated by commas; levels are trace, debug, info, warning, error, critical, off
    #[arg(long, value_name = "LEVELS", value_delimiter = ',')]
    level: Vec<String>,
    /// Back to the level of the installation
    #[arg(short, long)]
    reset: bool,
}

const LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "critical", "off"];

impl Log {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        if !matches!(ask.view, None | Some(View::Short)) {
            return Err(Failure::usage("--output is not applicable for this command"));
        }
        let changes = self.changes()?;
        let cluster = ask.context.cluster().await?;
        let namespace = ask.context.namespace(&cluster);
        let pods = match (&self.name, &self.selector) {
            (Some(name), _) => pods_named(&cluster, name, &namespace).await?,
            (None, Some(selector)) => pods_selected(&cluster, selector, &namespace).await?,
            (None, None) => Vec::new(),
        };
        let mut paths: Vec<String> = Vec::new();
        if self.reset {
            let level =
                installed_level(&Objects::new(cluster.client.clone()), &ask.context.globals.istio_namespace)
                    .await?;
            paths.push(format!("/logging?level={level}"));
        }
        paths.extend(changes.iter().map(|(logger, level)| match logger {
            Some(logger) => format!("/logging?{logger}={level}"),
            None => format!("/logging?level={level}"),
        }));
        if paths.is_empty() {
            paths.push("/logging".to_owned());
        }
        for PodName { name, namespace } in &pods {
            let mut answer = String::new();
            for path in &paths {
                answer = http_request(&cluster.client, namespace, name, ask.port, "POST", path).await?;
            }
            output::line(&format!("{name}.{namespace}:"));
            output::data(&answer);
        }
        Ok(Exit::Success)
    }

    /// Logger and level; a level without a logger replaces everything before it.
    fn changes(&self) -> Result<Vec<(Option<String>, String)>, Failure> {
        let mut changes: Vec<(Option<String>, String)> = Vec::new();
        for entry in &self.level {
            let (logger, level) = match entry.split_once([':', '=']) {
                Some((logger, level)) => (Some(logger.to_owned()), level),
                None => (None, entry.as_str()),
            };
            let level = if level == "warn" { "warning" } else { level };
            if !LEVELS.contains(&level) {
                return Err(Failure::usage(format!("unrecognized logging level: {level}"))
                    .hint(format!("levels: {}", LEVELS.join(", "))));
            }
            if logger.is_none() {
                changes.clear();
            }
            changes.push((logger, level.to_owned()));
        }
        Ok(changes)
    }
}

/// `global.proxy.logLevel` of the installation, `warning` where there is none.
async fn installed_level(objects: &Objects, namespace: &str) -> Result<String, Failure> {
    let resource = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    let found =
        objects.get(&resource, Some(namespace), "istio-sidecar-injector").await.map_err(server_failure)?;
    let values = found.as_ref().map(|map| text(map, "/data/values")).unwrap_or_default();
    let values: serde_json::Value = serde_yaml::from_str(values).unwrap_or_default();
    let level = text(&values, "/global/proxy/logLevel");
    Ok(if level.is_empty() { "warning".to_owned() } else { level.to_owned() })
}
