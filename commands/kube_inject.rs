//! `kube-inject`: puts the sidecar into manifests, with the settings of the cluster or of files.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use sagene_api::Object;
use sagene_api::istio::networking::ProxyConfig;
use sagene_manifest::inject::{self, Decision, InjectConfig, PodRequest, WebhookParameters};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{Objects, Resource, server_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct KubeInjectCommand {
    /// Manifest, or - for stdin
    #[arg(short, long, value_name = "FILE")]
    filename: String,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Mesh configuration from this file
    #[arg(long = "meshConfigFile", value_name = "FILE")]
    mesh_config_file: Option<String>,
    /// ConfigMap with the mesh configuration, key mesh
    #[arg(long = "meshConfigMapName", value_name = "NAME", default_value = "istio")]
    mesh_config_map: String,
    /// Injection configuration from this file; with --valuesFile and --meshConfigFile no cluster is contacted
    #[arg(long = "injectConfigFile", value_name = "FILE")]
    inject_config_file: Option<String>,
    /// ConfigMap with the injection configuration, keys config and values
    #[arg(
        long = "injectConfigMapName",
        value_name = "NAME",
        default_value = "istio-sidecar-injector",
        hide = true
    )]
    inject_config_map: String,
    /// Injection values from this file
    #[arg(long = "valuesFile", value_name = "FILE")]
    values_file: Option<String>,
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
}

impl KubeInjectCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(async {
            let config = self.config(context).await?;
            let namespace = context.globals.namespace.clone().unwrap_or_else(|| "default".to_owned());
            let mut text = String::new();
            for input in files::read(&self.filename, false)? {
                for mut object in files::documents(&input)? {
                    inject_object(&mut object, &namespace, &config)
                        .map_err(|failure| failure.context(input.name.clone()))?;
                    text.push_str(&sagene_api::yaml::to_text(&object)?);
                    text.push_str("---\n");
                }
            }
            match &self.output {
                None => output::data(&text),
                Some(path) => std::fs::write(path, text).map_err(|error| {
                    Failure::from(error).context(format!("cannot write {}", path.display()))
                })?,
            }
            Ok(Exit::Success)
        })
    }

    async fn config(&self, context: &Context) -> Result<InjectConfig, Failure> {
        let from_file = |path: &Option<String>| -> Result<Option<String>, Failure> {
            match path {
                Some(path) => Ok(files::read(path, false)?.pop().map(|input| input.text)),
                None => Ok(None),
            }
        };
        let mut config = from_file(&self.inject_config_file)?;
        let mut values = from_file(&self.values_file)?;
        let mut mesh = from_file(&self.mesh_config_file)?;
        let mut configs = Vec::new();
        if config.is_none() || values.is_none() || mesh.is_none() {
            let cluster = context.cluster().await?;
            let objects = Objects::new(cluster.client.clone());
            let suffix = match self.revision.as_str() {
                "" | "default" => String::new(),
                revision => format!("-{revision}"),
            };
            let namespace = &context.globals.istio_namespace;
            let injector = map(&objects, namespace, &format!("{}{suffix}", self.inject_config_map)).await?;
            let meshes = map(&objects, namespace, &format!("{}{suffix}", self.mesh_config_map)).await?;
            config.get_or_insert_with(|| text(&injector, "/data/config").to_owned());
            values.get_or_insert_with(|| text(&injector, "/data/values").to_owned());
            mesh.get_or_insert_with(|| text(&meshes, "/data/mesh").to_owned());
            configs = proxy_configs(&objects).await?;
        }
        let mut config = InjectConfig::from_config_maps(
            &config.unwrap_or_default(),
            &values.unwrap_or_default(),
            &mesh.unwrap_or_default(),
            &self.revision,
        )?;
        config.proxy_configs = configs;
        Ok(config)
    }
}

async fn proxy_configs(objects: &Objects) -> Result<Vec<Arc<Object<ProxyConfig>>>, Failure> {
    let resource = Resource::known("networking.istio.io", "v1beta1", "ProxyConfig", "proxyconfigs", true);
    let found = objects.list(&resource, None, "").await.map_err(server_failure)?;
    let read = |object: Value| {
        let name = text(&object, "/metadata/name").to_owned();
        let read = Object::from_value(object).map(Arc::new);
        read.map_err(|error| Failure::from(error).context(format!("ProxyConfig {name}")))
    };
    found.into_iter().map(read).collect()
}

async fn map(objects: &Objects, namespace: &str, name: &str) -> Result<Value, Failure> {
    let resource = Resource::known("", "v1", "ConfigMap", "configmaps", true);
    let found = objects.get(&resource, Some(namespace), name).await.map_err(server_failure)?;
    found.ok_or_else(|| {
        Failure::new(format!("ConfigMap {name} not found in namespace {namespace}"))
            .hint("sagene install makes it; or give --injectConfigFile, --valuesFile and --meshConfigFile")
    })
}

/// Injects the pod or pod template of an object; other kinds pass through.
fn inject_object(object: &mut Value, namespace: &str, config: &InjectConfig) -> Result<(), Failure> {
    let own = text(object, "/metadata/namespace");
    let namespace = if own.is_empty() { namespace.to_owned() } else { own.to_owned() };
    let (kind, name) = (text(object, "/kind").to_owned(), text(object, "/metadata/name").to_owned());
    if kind == "Pod" {
        let pod = object.clone();
        return replace(object, &pod, &namespace, config, &kind, &name, false);
    }
    let pointer = if kind == "CronJob" { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
    let api_version = text(object, "/apiVersion").to_owned();
    let Some(template) =
        object.pointer_mut(pointer).filter(|template| template.pointer("/spec/containers").is_some())
    else {
        return Ok(());
    };
    // A template has no owner yet; injection names the workload after the one it will have.
    let mut pod = template.clone();
    pod["metadata"]["generateName"] = json!(format!("{name}-"));
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "controller": true}]);
    replace(template, &pod, &namespace, config, &kind, &name, true)
}

fn replace(
    target: &mut Value,
    pod: &Value,
    namespace: &str,
    config: &InjectConfig,
    kind: &str,
    name: &str,
    template: bool,
) -> Result<(), Failure> {
    let request = PodRequest { pod, namespace, parameters: &WebhookParameters::default() };
    if let Decision::Skip(reason) = inject::inject(&request, config)? {
        output::progress(&format!("warning: {kind}/{name} is left as it is: {reason}"));
        return Ok(());
    }
    *target = inject::injected_pod(&request, config)?;
    if template && let Some(metadata) = target.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generateName");
        metadata.remove("ownerReferences");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_template_gets_the_sidecar_and_others_pass() {
        let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}}});
        inject_object(&mut deployment, "default", &InjectConfig::default()).expect("injectable");
        let template = &deployment["spec"]["template"];
        assert_eq!(template["spec"]["initContainers"][1]["name"], "istio-proxy");
        assert!(template["metadata"].get("ownerReferences").is_none());
        let mut service = json!({"kind": "Service", "metadata": {"name": "a"}, "spec": {}});
        let before = service.clone();
        inject_object(&mut service, "default", &InjectConfig::default()).expect("passes");
        assert_eq!(service, before);
    }
}
