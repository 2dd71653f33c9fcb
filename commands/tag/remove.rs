//! `tag remove`: deletes the objects of a tag; running proxies keep their revision.

use clap::Args;
use serde_json::json;

use super::revision::{followers, injectors, namespaces, webhooks};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, server_failure};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Name of the tag
    tag: String,
    /// Do not ask before acting
    #[arg(short = 'y', long)]
    skip_confirmation: bool,
}

impl Remove {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let tag = &self.tag;
        let injectors = injectors(&cluster).await?;
        let doomed: Vec<_> = injectors.iter().filter(|injector| injector.tag == *tag).collect();
        if doomed.is_empty() {
            return Err(Failure::new(format!(
                "cannot remove tag {tag:?}: cannot find MutatingWebhookConfiguration for tag"
            )));
        }
        let followers = followers(&namespaces(&cluster).await?, tag);
        if !followers.is_empty() && !self.skip_confirmation {
            let question = format!(
                "Caution, found {} namespace(s) still injected by tag {tag:?}: {}. Proceed with operation?",
                followers.len(),
                followers.join(", ")
            );
            if !output::confirm(&question)? {
                output::progress("Cancelled.");
                return Ok(Exit::Failure);
            }
        }
        let objects = Objects::new(cluster.client.clone());
        for injector in doomed {
            objects.delete(&webhooks(), None, &injector.name, &json!({})).await.map_err(server_failure)?;
        }
        let service = format!("istiod-revision-tag-{tag}");
        let namespace = Some(context.globals.istio_namespace.as_str());
        objects
            .delete(&Resource::services(), namespace, &service, &json!({}))
            .await
            .map_err(server_failure)?;
        output::line(&format!("Revision tag {tag} removed"));
        Ok(Exit::Success)
    }
}
