//! `tag set`: applies the objects of a tag.

use clap::Args;
use serde_json::Value;

use super::generate::Wish;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{ApplyOptions, Discovery, Objects, server_failure, text};
use crate::output;

/// Field manager: the one of installations, so that an installation and a tag can change each other's webhooks.
const MANAGER: &str = "istio-operator";

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    wish: Wish,
}

impl Set {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let objects = self.wish.objects(context, &cluster).await?;
        let everywhere = self.wish.auto_inject_namespaces && !self.wish.skip_confirmation;
        if everywhere
            && !output::confirm("Pods of every namespace without labels will be injected. Proceed?")?
        {
            output::progress("Cancelled.");
            return Ok(Exit::Failure);
        }
        let discovery = Discovery::load(&cluster.client).await.map_err(server_failure)?;
        let access = Objects::new(cluster.client.clone());
        for object in &objects {
            apply(&access, &discovery, object).await?;
        }
        let (tag, revision) = (&self.wish.tag, &self.wish.revision);
        output::line(&format!(
            "Revision tag {tag:?} created, referencing control plane revision {revision:?}. To enable injection using this\n\
             revision tag, use 'kubectl label namespace <NAMESPACE> istio.io/rev={tag}'"
        ));
        Ok(Exit::Success)
    }
}

async fn apply(access: &Objects, discovery: &Discovery, object: &Value) -> Result<(), Failure> {
    let name = format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"));
    let resource = discovery
        .of(object)
        .ok_or_else(|| Failure::new(format!("{name}: the cluster does not know this type")))?;
    let options = ApplyOptions { manager: MANAGER, force: true, dry_run: false, validation: "Ignore" };
    let applied = access.apply(resource, object, options).await;
    applied.map(drop).map_err(|error| server_failure(error).context(name))
}
