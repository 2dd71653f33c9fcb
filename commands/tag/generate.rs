//! `tag generate`, and the objects that `tag set` applies: the tag's webhook, its Service, and for the tag `default` the validation
//! webhook and the end of the default revision's own.

use clap::Args;
use sagene_manifest::profile::{self, InstallRequest, Installation};
use sagene_manifest::render;
use serde_json::{Value, json};

use super::revision::{Injector, injectors};
use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::version::VERSION;

#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    pub(super) wish: Wish,
}

/// What the tag shall be.
#[derive(Debug, Args)]
pub(super) struct Wish {
    /// Name of the tag
    pub(super) tag: String,
    /// Revision the tag stands for
    #[arg(short, long, required = true)]
    pub(super) revision: String,
    /// Replace a tag that exists
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Do not ask before acting
    #[arg(short = 'y', long)]
    pub(super) skip_confirmation: bool,
    /// Name of the webhook configuration, istio-revision-tag-<tag> unless given
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) webhook_name: String,
    /// Inject into every namespace that does not say otherwise
    #[arg(long)]
    pub(super) auto_inject_namespaces: bool,
}

impl Generate {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        for object in self.wish.objects(context, &cluster).await? {
            output::data(&format!("{}---\n", sagene_api::yaml::to_text(&object)?));
        }
        Ok(Exit::Success)
    }
}

impl Wish {
    /// The objects, after checking that the revision exists and the tag's name is free.
    pub(super) async fn objects(&self, context: &Context, cluster: &Cluster) -> Result<Vec<Value>, Failure> {
        let injectors = injectors(cluster).await?;
        let revisions: Vec<&Injector> = injectors.iter().filter(|it| it.tag.is_empty()).collect();
        if self.tag != "default" && revisions.iter().any(|it| it.revision == self.tag) {
            return Err(Failure::new(format!(
                "cannot create revision tag {:?}: found existing control plane revision with same name",
                self.tag
            )));
        }
        let Some(source) = revisions.iter().find(|it| it.revision == self.revision) else {
            let mut known: Vec<&str> = revisions.iter().map(|it| it.revision.as_str()).collect();
            known.dedup();
            return Err(Failure::new(format!(
                "cannot modify tag: cannot find MutatingWebhookConfiguration with revision {:?}",
                self.revision
            ))
            .hint(format!("installed revisions: {}", known.join(", "))));
        };
        if !self.overwrite && injectors.iter().any(|it| it.tag == self.tag) {
            return Err(Failure::new(format!(
                "revision tag {:?} already exists, and --overwrite is false",
                self.tag
            )));
        }
        let installation = self.installation(context)?;
        let mut objects =
            vec![self.webhook(&installation, source), render::tag_service(&installation, &self.tag)];
        if self.tag == "default" {
            objects.push(render::default_validator(&installation));
            let own = injectors.iter().find(|it| it.tag.is_empty() && it.revision == "default");
            if let Some(own) = own {
                objects.push(render::deactivated(&own.object));
            }
        }
        let client = source.object.pointer("/webhooks/0/clientConfig").cloned().unwrap_or_default();
        objects.iter_mut().for_each(|object| carry_authority(object, &client));
        Ok(objects)
    }

    /// The settings that tag objects are rendered from: revision and namespace, the rest is the profile's.
    fn installation(&self, context: &Context) -> Result<Installation, Failure> {
        let mut sets = vec![format!("values.global.istioNamespace={}", context.globals.istio_namespace)];
        if self.auto_inject_namespaces {
            sets.push("values.sidecarInjectorWebhook.enableNamespacesByDefault=true".into());
        }
        let revision = Some(self.revision.clone()).filter(|revision| revision != "default");
        let request =
            InstallRequest { sets, revision, default_tag: VERSION.to_owned(), ..InstallRequest::default() };
        Ok(profile::resolve(&request)?)
    }

    /// The tag's webhook; where it calls is what the revision's own says, which may be a URL.
    fn webhook(&self, installation: &Installation, source: &Injector) -> Value {
        let mut object = render::revision_tag(installation, &self.tag);
        if !self.webhook_name.is_empty() {
            object["metadata"]["name"] = json!(self.webhook_name);
        }
        let client = source.object.pointer("/webhooks/0/clientConfig").cloned().unwrap_or_default();
        for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
            webhook["clientConfig"] = client.clone();
        }
        object
    }
}

/// Gives webhooks without an authority the one of the revision, so that they work before its control plane writes it.
fn carry_authority(object: &mut Value, client: &Value) {
    let Some(bundle) = client.get("caBundle") else { return };
    for webhook in object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if webhook["clientConfig"].get("caBundle").is_none() {
            webhook["clientConfig"]["caBundle"] = bundle.clone();
        }
    }
}
