//! `describe`: what the mesh makes of a pod or a Service, in words: its ports, the rules that concern it, who may call it, and
//! where it is reached from outside.

mod destination_rule;
mod ingress;
mod peer_authentication;
mod pod;
mod proxy;
mod service;
mod virtual_service;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::context::{Cluster, Context};
use crate::exit::{Failure, Outcome};
use crate::kubernetes::{Objects, Resource, text};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct DescribeCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// What applies to a pod
    #[command(alias = "po")]
    Pod(Subject),
    /// What applies to a Service and the pods behind it
    #[command(alias = "svc")]
    Service(Subject),
}

#[derive(Debug, Args)]
struct Subject {
    /// Its name, with .NAMESPACE behind it if it is another one
    #[arg(value_name = "NAME[.NAMESPACE]")]
    name: String,
    /// Say nothing of pods without a sidecar
    #[arg(long = "ignoreUnmeshed")]
    ignore_unmeshed: bool,
    /// Port of the proxy's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 15000, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_admin_port: u16,
}

impl DescribeCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (Subcommands::Pod(subject) | Subcommands::Service(subject)) = &self.command;
        let cluster = context.cluster().await?;
        let default = context.namespace(&cluster);
        let (name, namespace) = match subject.name.rsplit_once('.') {
            Some((name, namespace)) => (name, namespace),
            None => (subject.name.as_str(), default.as_str()),
        };
        let describer = Describer {
            objects: Objects::new(cluster.client.clone()),
            cluster: &cluster,
            default: &default,
            istio: &context.globals.istio_namespace,
            port: subject.proxy_admin_port,
            ignore_unmeshed: subject.ignore_unmeshed,
        };
        match &self.command {
            Subcommands::Pod(_) => describer.pod(namespace, name).await,
            Subcommands::Service(_) => describer.service(namespace, name).await,
        }
    }
}

/// What every part of a description works with.
struct Describer<'a> {
    cluster: &'a Cluster,
    objects: Objects,
    /// The namespace that names need not say.
    default: &'a str,
    /// Namespace of the control plane.
    istio: &'a str,
    /// Port of the proxies' admin interface.
    port: u16,
    ignore_unmeshed: bool,
}

impl Describer<'_> {
    /// `name`, or `name.namespace` when the namespace is not the one that was meant anyway.
    fn title(&self, object: &Value) -> String {
        let (name, namespace) = (text(object, "/metadata/name"), text(object, "/metadata/namespace"));
        if namespace == self.default { name.to_owned() } else { format!("{name}.{namespace}") }
    }

    async fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Failure> {
        let found = self.objects.get(resource, Some(namespace), name).await;
        found.map_err(crate::kubernetes::server_failure)?.ok_or_else(|| {
            Failure::new(format!(
                "{} \"{name}\" not found in namespace \"{namespace}\"",
                resource.qualified()
            ))
        })
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, Failure> {
        let list = self.objects.list(resource, namespace, labels).await;
        list.map_err(crate::kubernetes::server_failure)
    }
}
