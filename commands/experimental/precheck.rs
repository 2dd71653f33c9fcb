//! `precheck`: whether a cluster is fit: version, permissions, Gateway API, and what the analyzers have to say.

use clap::Args;
use colored::Colorize;
use futures::future::try_join_all;
use sagene_analysis::Code;
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::install::preflight::MINIMUM_MINOR;
use crate::install::skew;
use crate::kubernetes::{Discovery, Objects, Resource, server_failure, text};
use crate::output::{self, to_json, to_yaml};
use crate::version::VERSION;

/// What an installation creates: group, resource.
const CREATED: [(&str, &str); 11] = [
    ("", "namespaces"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "roles"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
    ("", "configmaps"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
];

#[derive(Debug, Args)]
pub(super) struct Precheck {
    /// Skip what only concerns the control plane: version and permissions
    #[arg(long)]
    skip_controlplane: bool,
    /// Format: log, json or yaml
    #[arg(short, long, default_value = "log", value_parser = ["log", "json", "yaml"])]
    output: String,
}

/// A finding, in the fields of `analyze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    code: &'static str,
    level: &'static str,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    origin: String,
}

impl Finding {
    /// Every code is one of the catalogue, so that `explain` has a page for it.
    fn new(code: Code, message: String, origin: String) -> Self {
        Self { code: code.id(), level: code.level().name(), message, origin }
    }
}

impl Precheck {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let mut findings = Vec::new();
        if !self.skip_controlplane {
            findings.extend(version(&cluster).await?);
            findings.extend(permissions(&cluster, &context.globals.istio_namespace).await?);
            findings.extend(proxies(context, &cluster).await);
        }
        findings.extend(gateway_api(&cluster).await?);
        match self.output.as_str() {
            "json" => output::data(&to_json(&findings)?),
            "yaml" => output::data(&to_yaml(&findings)?),
            _ => findings.iter().for_each(|finding| {
                let level = if finding.level == "Error" {
                    finding.level.red().bold()
                } else {
                    finding.level.yellow()
                };
                let origin =
                    if finding.origin.is_empty() { String::new() } else { format!(" ({})", finding.origin) };
                output::line(&format!("{level} [{}]{origin} {}", finding.code, finding.message));
            }),
        }
        if findings.is_empty() {
            output::progress(
                "✔ No issues found when checking the cluster. Istio is safe to install or upgrade!",
            );
            output::progress("  To get started, run: sagene install");
            return Ok(Exit::Success);
        }
        Ok(Exit::Failure)
    }
}

async fn version(cluster: &Cluster) -> Result<Option<Finding>, Failure> {
    let info =
        cluster.client.apiserver_version().await.map_err(|error| {
            server_failure(error).context(format!("cannot reach {}", cluster.description))
        })?;
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().unwrap_or_default();
    let fit = (number(&info.major), number(&info.minor)) >= (1, MINIMUM_MINOR);
    Ok((!fit).then(|| {
        let message = format!(
            "The Kubernetes Version {:?} is lower than the minimum version: v1.{MINIMUM_MINOR}",
            info.git_version
        );
        Finding::new(Code::UnsupportedKubernetesVersion, message, String::new())
    }))
}

/// Asks the server about every permission at once.
async fn permissions(cluster: &Cluster, namespace: &str) -> Result<Vec<Finding>, Failure> {
    let objects = Objects::new(cluster.client.clone());
    let reviews = Resource::known(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        false,
    );
    let ask = |(group, resource): (&'static str, &'static str)| {
        let (objects, reviews) = (&objects, &reviews);
        async move {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"namespace": namespace, "verb": "create", "group": group, "resource": resource}}});
            let answer = objects.create(reviews, None, &review, false).await.map_err(server_failure)?;
            let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool) == Some(true);
            let reason = text(&answer, "/status/reason").to_owned();
            Ok::<_, Failure>((!allowed).then(|| {
                let group = if group.is_empty() { String::new() } else { format!("{group}/") };
                let message =
                    format!("Missing required permission to create resource {group}{resource} ({reason})");
                Finding::new(Code::InsufficientPermissions, message, String::new())
            }))
        }
    };
    Ok(try_join_all(CREATED.map(ask)).await?.into_iter().flatten().collect())
}

/// Proxies that a control plane of this program's version does not serve.
async fn proxies(context: &Context, cluster: &Cluster) -> Vec<Finding> {
    let unserved = skew::unserved(context, cluster, "", VERSION).await;
    let finding = |skewed: skew::Skewed| {
        let message = format!("The proxy is not served: {}", skewed.reason);
        Finding::new(Code::ProxyVersionNotServed, message, format!("Pod {}", skewed.proxy))
    };
    unserved.into_iter().map(finding).collect()
}

/// Gateway API types are used in version v1 alone.
async fn gateway_api(cluster: &Cluster) -> Result<Option<Finding>, Failure> {
    let discovery = Discovery::load(&cluster.client).await.map_err(server_failure)?;
    let gateways =
        discovery.resources.iter().find(|it| it.group == "gateway.networking.k8s.io" && it.kind == "Gateway");
    let old = gateways.filter(|resource| resource.version != "v1");
    Ok(old.map(|resource| {
        let message =
            format!("The Gateway API CRD version {} is lower than the minimum version: v1", resource.version);
        let origin = "CustomResourceDefinition gateways.gateway.networking.k8s.io".to_owned();
        Finding::new(Code::UnsupportedGatewayAPIVersion, message, origin)
    }))
}
