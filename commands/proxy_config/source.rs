//! Where a dump comes from: a pod's admin interface through a port-forward, or a file.

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::Dump;
use crate::exit::Failure;
use crate::files;
use crate::kubernetes::{http_request, pods_named};

/// A proxy, or a file with what it said.
#[derive(Debug, Clone, Args)]
pub(crate) struct DumpTarget {
    /// Pod or workload: [type/]name[.namespace]
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]", required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// Saved answer of the proxy, - for stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) file: Option<String>,
}

impl DumpTarget {
    /// The text of an admin path, or of the file.
    pub(crate) async fn text(&self, ask: &Ask<'_>, path: &str) -> Result<String, Failure> {
        match (&self.file, &self.name) {
            (Some(file), _) => {
                let mut inputs = files::read(file, false)?;
                Ok(inputs.pop().map(|input| input.text).unwrap_or_default())
            }
            (None, Some(name)) => admin_request(ask, name, "GET", path).await,
            (None, None) => Err(Failure::usage("a pod name or --file is needed")),
        }
    }

    /// The parsed answer.
    pub(crate) async fn value(&self, ask: &Ask<'_>, path: &str) -> Result<Value, Failure> {
        let text = self.text(ask, path).await?;
        serde_json::from_str(&text).map_err(|error| {
            let origin = self.file.as_deref().or(self.name.as_deref()).unwrap_or_default();
            Failure::from(error).context(format!("{origin}: not a dump of a proxy"))
        })
    }

    /// The parsed configuration dump.
    pub(crate) async fn dump(&self, ask: &Ask<'_>, query: &str) -> Result<Dump, Failure> {
        self.value(ask, &format!("/config_dump{query}")).await.map(Dump::new)
    }
}

/// One request to the admin interface of the first pod behind a name.
pub(crate) async fn admin_request(
    ask: &Ask<'_>,
    target: &str,
    method: &str,
    path: &str,
) -> Result<String, Failure> {
    let cluster = ask.context.cluster().await?;
    let namespace = ask.context.namespace(&cluster);
    let pods = pods_named(&cluster, target, &namespace).await?;
    let pod = pods.first().ok_or_else(|| Failure::new(format!("no pods match \"{target}\"")))?;
    http_request(&cluster.client, &pod.namespace, &pod.name, ask.port, method, path).await.map_err(
        |failure| {
            failure
                .context(format!("failed to execute command on {}.{} sidecar", pod.name, pod.namespace))
                .hint("is there a proxy in the pod? sagene proxy-status lists the proxies")
        },
    )
}
