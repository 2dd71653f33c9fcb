//! `envoy-stats`: the statistics of proxies, or what they know of their clusters.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{PodName, http_get, pods_named, pods_selected};
use crate::output;

/// Where applications' metrics are merged with the proxy's.
const MERGED_PORT: u16 = 15020;

#[derive(Debug, Args)]
pub(super) struct EnvoyStats {
    /// Pods: [type/]name[.namespace]
    #[arg(
        value_name = "[TYPE/]NAME[.NAMESPACE]",
        required_unless_present = "selector",
        conflicts_with = "selector"
    )]
    name: Option<String>,
    /// Label selector of pods
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Format: short, json, yaml; of the statistics also prom, and prom-merged with those of the application
    #[arg(short, long, value_name = "FORMAT", default_value = "short")]
    output: Format,
    /// What is asked: server for the statistics, clusters
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "server")]
    kind: Kind,
    /// Port of the proxy's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 15000, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_admin_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Short,
    Json,
    Yaml,
    Prom,
    PromMerged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Server,
    #[value(alias = "cluster")]
    Clusters,
}

impl EnvoyStats {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let place = self.place()?;
        let cluster = context.cluster().await?;
        let namespace = context.namespace(&cluster);
        let pods = match (&self.name, &self.selector) {
            (Some(name), _) => pods_named(&cluster, name, &namespace).await?,
            (None, selector) => {
                pods_selected(&cluster, selector.as_deref().unwrap_or_default(), &namespace).await?
            }
        };
        for pod in &pods {
            let body = self.ask(&cluster, pod, place).await?;
            if pods.len() > 1 {
                output::data(&format!("\nThe result of pod {}.{}:\n\n", pod.name, pod.namespace));
            }
            output::data(&body);
        }
        Ok(Exit::Success)
    }

    /// Port and path of what is asked.
    fn place(&self) -> Result<(u16, &'static str), Failure> {
        let admin = self.proxy_admin_port;
        Ok(match (self.kind, self.output) {
            (Kind::Server, Format::Short) => (admin, "/stats"),
            (Kind::Server, Format::Json | Format::Yaml) => (admin, "/stats?format=json"),
            (Kind::Server, Format::Prom) => (admin, "/stats/prometheus"),
            (Kind::Server, Format::PromMerged) => (MERGED_PORT, "/stats/prometheus"),
            (Kind::Clusters, Format::Short) => (admin, "/clusters"),
            (Kind::Clusters, Format::Json | Format::Yaml) => (admin, "/clusters?format=json"),
            (Kind::Clusters, Format::Prom | Format::PromMerged) => {
                return Err(Failure::usage("clusters have no format of Prometheus: use short, json or yaml"));
            }
        })
    }

    async fn ask(&self, cluster: &Cluster, pod: &PodName, place: (u16, &str)) -> Result<String, Failure> {
        let (port, path) = place;
        let body = http_get(&cluster.client, &pod.namespace, &pod.name, port, path).await?;
        let parsed = || serde_json::from_str::<Value>(&body);
        match self.output {
            Format::Json => output::to_json(&parsed()?),
            Format::Yaml => output::to_yaml(&parsed()?),
            Format::Short | Format::Prom | Format::PromMerged => Ok(body),
        }
    }
}
