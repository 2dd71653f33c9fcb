//! `proxy-status`: what the control plane last sent to every proxy and what each acknowledged; for one proxy, the difference
//! between what the control plane would send and what the proxy runs.

mod difference;
mod state;
#[cfg(test)]
mod tests;

use clap::Args;
use serde_json::{Value, json};

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{control_planes, http_get, pods_named};
use crate::output::{self, Table, View};
use state::{ProxyState, short_type};

#[derive(Debug, Args)]
pub(crate) struct ProxyStatusCommand {
    /// Compare this proxy with the control plane: [type/]name[.namespace]
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    name: Option<String>,
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
    /// Format: table, json, yaml
    #[arg(short, long, default_value = "table")]
    output: View,
    /// 1 shows the state of each type
    #[arg(short, long, value_name = "LEVEL", default_value_t = 0)]
    verbosity: u8,
    /// Compare with this saved configuration dump instead of asking the proxy
    #[arg(long, value_name = "FILE", requires = "name")]
    file: Option<String>,
    /// Port of the proxy's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 15000)]
    proxy_admin_port: u16,
}

/// One control-plane pod and what it said about its proxies.
struct Answer {
    istiod: String,
    version: String,
    proxies: Vec<ProxyState>,
    /// Objects that are not in force as written: kind, namespace, name and why.
    conditions: Vec<Value>,
}

impl ProxyStatusCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(async {
            let cluster = context.cluster().await?;
            match &self.name {
                Some(name) => self.compare(context, &cluster, name).await,
                None => self.list(context, &cluster).await,
            }
        })
    }

    async fn list(&self, context: &Context, cluster: &Cluster) -> Outcome {
        let mut answers = Vec::new();
        for name in control_planes(context, cluster, &self.revision).await? {
            let namespace = &context.globals.istio_namespace;
            let syncz = http_get(&cluster.client, namespace, &name, 15014, "/debug/syncz").await?;
            let version =
                http_get(&cluster.client, namespace, &name, 15014, "/version").await.unwrap_or_default();
            let mut proxies = state::parse(&syncz)?;
            if let Some(namespace) = &context.globals.namespace {
                proxies.retain(|proxy| proxy.namespace() == namespace);
            }
            // A control plane of another make does not know this view.
            let conditions =
                http_get(&cluster.client, namespace, &name, 15014, "/debug/conditionz").await.ok();
            let mut conditions: Vec<Value> =
                conditions.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            if let Some(namespace) = &context.globals.namespace {
                conditions.retain(|object| object["namespace"] == *namespace);
            }
            answers.push(Answer { istiod: name, version: version.trim().to_owned(), proxies, conditions });
        }
        match self.output {
            View::Short => {
                let table = if self.verbosity == 0 { summary(&answers) } else { detailed(&answers) };
                output::data(&table);
                not_in_force(&answers).iter().for_each(|line| output::progress(line));
            }
            View::Json => {
                for answer in &answers {
                    output::data(&output::to_json(&discovery_response(answer))?);
                }
            }
            View::Yaml => {
                for answer in &answers {
                    output::data(&format!("---\n{}", output::to_yaml(&discovery_response(answer))?));
                }
            }
        }
        Ok(Exit::Success)
    }

    /// Asks the istiods one after the other until one knows the proxy.
    async fn compare(&self, context: &Context, cluster: &Cluster, name: &str) -> Outcome {
        let namespace = context.namespace(cluster);
        let pods = pods_named(cluster, name, &namespace).await?;
        let pod = pods.first().ok_or_else(|| Failure::new(format!("no pods match \"{name}\"")))?;
        let proxy = match &self.file {
            Some(file) => files::read(file, false)?.pop().map(|input| input.text).unwrap_or_default(),
            None => {
                let port = self.proxy_admin_port;
                http_get(&cluster.client, &pod.namespace, &pod.name, port, "/config_dump").await?
            }
        };
        let id = format!("{}.{}", pod.name, pod.namespace);
        let mut last = None;
        for istiod in control_planes(context, cluster, &self.revision).await? {
            let path = format!("/debug/config_dump?proxyID={id}");
            match http_get(&cluster.client, &context.globals.istio_namespace, &istiod, 15014, &path).await {
                Ok(wanted) => {
                    output::data(&difference::render(&wanted, &proxy)?);
                    return Ok(Exit::Success);
                }
                Err(failure) => last = Some(failure),
            }
        }
        let failure = last.unwrap_or_else(|| Failure::new("no control plane answered"));
        Err(failure.context(format!("no control plane knows the proxy {id}")))
    }
}

/// The default table.
fn summary(answers: &[Answer]) -> String {
    let mut rows = Vec::new();
    for answer in answers {
        for proxy in &answer.proxies {
            let mut types: Vec<&str> = proxy.subscribed().map(|it| short_type(&it.type_url)).collect();
            types.sort_by_key(|name| (state::rank(name), *name));
            let listed = if types.is_empty() {
                "0".to_owned()
            } else {
                format!("{} ({})", types.len(), types.join(","))
            };
            rows.push([
                proxy.id.clone(),
                proxy.cluster.clone(),
                answer.istiod.clone(),
                proxy.version.clone(),
                listed,
            ]);
        }
    }
    rows.sort();
    let mut table = Table::new(["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"], 5);
    rows.into_iter().for_each(|row| table.row(row));
    table.render()
}

/// What the control planes could not put into force as it is written; nothing where all is well.
fn not_in_force(answers: &[Answer]) -> Vec<String> {
    let text = |object: &Value, key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let objects = answers.iter().flat_map(|answer| &answer.conditions).map(|object| {
        let [kind, namespace, name, message] =
            ["kind", "namespace", "name", "message"].map(|key| text(object, key));
        let origin = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
        format!("  {kind} {origin}: {message}")
    });
    let mut lines: Vec<String> = objects.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    if !lines.is_empty() {
        lines.insert(0, "Not in force as written (sagene analyze says more):".to_owned());
    }
    let proxies = answers.iter().flat_map(|answer| &answer.proxies);
    let refused: Vec<String> = proxies
        .flat_map(|proxy| proxy.types.iter().map(move |state| (proxy, state)))
        .filter_map(|(proxy, state)| {
            Some(format!("  {} {}: {}", proxy.id, short_type(&state.type_url), state.refusal()?))
        })
        .collect();
    if !refused.is_empty() {
        lines.push("Refused by proxies, which keep what they had:".to_owned());
        lines.extend(refused);
    }
    lines
}

/// One column per type.
fn detailed(answers: &[Answer]) -> String {
    let urls = answers.iter().flat_map(|answer| &answer.proxies).flat_map(|proxy| &proxy.types);
    let urls: std::collections::BTreeSet<&str> = urls.map(|it| it.type_url.as_str()).collect();
    let mut header = vec!["NAME".to_owned(), "CLUSTER".to_owned()];
    header.extend(urls.iter().map(|url| short_type(url).to_owned()));
    header.extend(["ISTIOD".to_owned(), "VERSION".to_owned()]);
    let mut rows = Vec::new();
    for answer in answers {
        for proxy in &answer.proxies {
            let mut row = vec![proxy.id.clone(), proxy.cluster.clone()];
            let cell = |url: &str| {
                proxy
                    .types
                    .iter()
                    .find(|it| it.type_url == url)
                    .map_or_else(|| "IGNORED".to_owned(), state::TypeState::cell)
            };
            row.extend(urls.iter().map(|url| cell(url)));
            row.extend([answer.istiod.clone(), proxy.version.clone()]);
            rows.push(row);
        }
    }
    rows.sort();
    let mut table = Table::new(header, 5);
    rows.into_iter().for_each(|row| table.row(row));
    table.render()
}

/// The document that istioctl prints per control plane.
fn discovery_response(answer: &Answer) -> Value {
    let identifier = json!({"Component": "istiod", "ID": answer.istiod, "Info": {"version": answer.version}});
    let resources: Vec<Value> = answer.proxies.iter().map(ProxyState::client_config).collect();
    json!({
        "versionInfo": "",
        "resources": resources,
        "typeUrl": "istio.io/debug/syncz",
        "controlPlane": {"identifier": identifier.to_string()},
    })
}
