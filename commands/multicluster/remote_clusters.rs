//! `remote-clusters`: the clusters that each control-plane pod reads from.

use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::kubernetes::{Objects, Resource, control_planes, http_get, server_failure, text};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(crate) struct RemoteClusters {
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
}

impl RemoteClusters {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(self.list(context))
    }

    async fn list(&self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let objects = Objects::new(cluster.client.clone());
        let namespace = &context.globals.istio_namespace;
        let names = control_planes(context, &cluster, &self.revision).await?;
        let mut table = Table::new(["NAME", "SECRET", "STATUS", "ISTIOD", "REVISION"], 5);
        for name in &names {
            let pod = objects.get(&Resource::pods(), Some(namespace), name).await.map_err(server_failure)?;
            let pod = pod.unwrap_or_default();
            let answer = http_get(&cluster.client, namespace, name, 15014, "/debug/clusterz").await?;
            let clusters: Vec<Value> = serde_json::from_str(&answer)?;
            for of in &clusters {
                let secret = text(of, "/secretName");
                let revision = text(&pod, "/metadata/labels/istio.io~1rev");
                table.row([text(of, "/id"), secret, text(of, "/syncStatus"), name, revision]);
            }
        }
        output::data(&table.render());
        Ok(Exit::Success)
    }
}
