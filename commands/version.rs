//! `version`: the client's version, and those of the control plane and the proxies where a cluster is reachable.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, control_planes, http_get, text};
use crate::output::{self, to_json, to_yaml};

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Version of Istio whose behavior is followed; proxies and control plane report it to Istio's tools.
const ISTIO_VERSION: &str = "1.30.0";

#[derive(Debug, Args)]
pub(crate) struct VersionCommand {
    /// One line per component; --short=false shows all fields
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    short: bool,
    /// Ask the cluster too; --remote=false stays on this machine
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    remote: bool,
    /// Format: json or yaml
    #[arg(short, long, value_parser = ["json", "yaml"])]
    output: Option<String>,
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
}

/// What the command reports, in the fields of istioctl.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    client_version: ClientVersion,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mesh_version: Vec<MeshVersion>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_plane_version: Vec<ProxyVersion>,
}

#[derive(Debug, Serialize)]
struct ClientVersion {
    version: String,
    revision: String,
    golang_version: String,
    status: String,
    tag: String,
}

impl Default for ClientVersion {
    fn default() -> Self {
        Self {
            version: VERSION.into(),
            revision: option_env!("SAGENE_GIT_REVISION").unwrap_or("unknown").into(),
            golang_version: "none (Rust)".into(),
            status: "Clean".into(),
            tag: ISTIO_VERSION.into(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MeshVersion {
    component: String,
    revision: String,
    info: Value,
}

#[derive(Debug, Serialize)]
struct ProxyVersion {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "IstioVersion")]
    istio_version: String,
    #[serde(rename = "Type")]
    proxy_type: String,
}

impl VersionCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if !self.remote {
            return self.print(&Report::default(), None);
        }
        crate::runtime::block_on(async {
            let mut report = Report::default();
            let absent = self.ask(context, &mut report).await.err();
            self.print(&report, absent)
        })
    }

    /// Prints the version of this program, whatever was said about the cluster.
    pub(crate) fn local(self) -> Outcome {
        Self { remote: false, ..self }.print(&Report::default(), None)
    }

    /// Asks every running control-plane pod. An unreachable cluster is not a failure of this command.
    async fn ask(&self, context: &Context, report: &mut Report) -> Result<(), Failure> {
        ask(context, &self.revision, report).await
    }

    fn print(&self, report: &Report, absent: Option<Failure>) -> Outcome {
        match self.output.as_deref() {
            Some("json") => output::data(&to_json(report)?),
            Some("yaml") => output::data(&to_yaml(report)?),
            _ if self.short => short(report, self.remote && absent.is_none()),
            _ => output::data(&to_yaml(report)?),
        }
        if let Some(failure) = absent {
            output::progress(&format!(
                "Istio is not present in the cluster: {}",
                crate::exit::chain(&failure.error)
            ));
        }
        Ok(Exit::Success)
    }
}

/// All versions, as a YAML document.
pub(crate) async fn report(context: &Context) -> Result<String, Failure> {
    let mut report = Report::default();
    let asked = ask(context, "", &mut report).await;
    let mut text = to_yaml(&report)?;
    if let Err(failure) = asked {
        text += &format!("# no control plane: {}\n", crate::exit::chain(&failure.error));
    }
    Ok(text)
}

async fn ask(context: &Context, revision: &str, report: &mut Report) -> Result<(), Failure> {
    let cluster = context.cluster().await?;
    let namespace = &context.globals.istio_namespace;
    for name in control_planes(context, &cluster, revision).await? {
        let objects = Objects::new(cluster.client.clone());
        let pod = objects.get(&Resource::pods(), Some(namespace), &name).await?.unwrap_or_default();
        let name = name.as_str();
        let answer = http_get(&cluster.client, namespace, name, 15014, "/version").await?;
        report.mesh_version.push(MeshVersion {
            component: text(&pod, "/metadata/labels/istio").to_owned(),
            revision: text(&pod, "/metadata/labels/istio.io~1rev").to_owned(),
            info: serde_json::from_str(&answer).unwrap_or_else(|_| json!({"version": answer.trim()})),
        });
        let proxies = http_get(&cluster.client, namespace, name, 15014, "/debug/syncz").await?;
        report.data_plane_version.extend(proxy_versions(&proxies));
    }
    Ok(())
}

fn proxy_versions(syncz: &str) -> Vec<ProxyVersion> {
    let entries: Vec<Value> = serde_json::from_str(syncz).unwrap_or_default();
    let version = |entry: &Value| ProxyVersion {
        id: text(entry, "/proxy").to_owned(),
        istio_version: text(entry, "/istio_version").to_owned(),
        proxy_type: text(entry, "/proxy_type").to_owned(),
    };
    entries.iter().map(version).collect()
}

fn short(report: &Report, remote: bool) {
    output::line(&format!("client version: {}", report.client_version.version));
    if !remote {
        return;
    }
    let version = |mesh: &MeshVersion| text(&mesh.info, "/version").to_owned();
    let versions: Vec<String> = report.mesh_version.iter().map(version).collect();
    if versions.windows(2).all(|pair| pair[0] == pair[1]) {
        if let Some(version) = versions.first() {
            output::line(&format!("control plane version: {version}"));
        }
    } else {
        for mesh in &report.mesh_version {
            output::line(&format!("{} version: {}", mesh.component, version(mesh)));
        }
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for proxy in &report.data_plane_version {
        *counts.entry(&proxy.istio_version).or_default() += 1;
    }
    let counted = |(version, count): (&&str, &usize)| {
        format!("{version} ({count} {})", if *count == 1 { "proxy" } else { "proxies" })
    };
    let listed: Vec<String> = counts.iter().map(counted).collect();
    let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    output::line(&format!("data plane version: {listed}"));
}
