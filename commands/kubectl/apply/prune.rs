//! `kubectl apply --prune`: what was applied before and is no more in the manifests goes.

use std::collections::BTreeSet;

use sagene_cluster::apiserver::selector::LabelSelector;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::kubectl::session::{Session, error};
use crate::kubectl::written;
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output;

/// Types that are looked through unless `--prune-allowlist` names others: group, version, kind.
const TYPES: [(&str, &str, &str); 16] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Endpoints"),
    ("", "v1", "Namespace"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "PersistentVolume"),
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "StatefulSet"),
];
/// Where client-side apply remembers what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which objects may go.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Prune {
    /// Delete what was applied before and is no more in the manifests; wants -l or --all
    #[arg(long)]
    prune: bool,
    /// Only objects of the manifests, and with --prune of the cluster, that have these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// With --prune: all objects of the namespaces that the manifests name
    #[arg(long, requires = "prune")]
    all: bool,
    /// With --prune: look through this type, GROUP/VERSION/KIND, instead of the usual ones; may be repeated
    #[arg(long, value_name = "TYPE", requires = "prune", alias = "prune-whitelist")]
    prune_allowlist: Vec<String>,
}

/// What was applied, to know what was not.
#[derive(Debug, Default)]
pub(super) struct Applied {
    uids: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

impl Applied {
    pub(super) fn add(&mut self, object: &Value) {
        self.uids.insert(text(object, "/metadata/uid").to_owned());
        let namespace = text(object, "/metadata/namespace");
        if !namespace.is_empty() {
            self.namespaces.insert(namespace.to_owned());
        }
    }
}

impl Prune {
    /// Refuses to prune without limits, and says which objects of the manifests are meant.
    pub(super) fn check(&self) -> Result<LabelSelector, Failure> {
        match (self.prune, self.all, &self.selector) {
            (true, false, None) => Err(error(
                "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector",
            )),
            (true, true, Some(_)) => Err(error("cannot set --all and --selector at the same time")),
            (_, _, selector) => LabelSelector::parse(selector.as_deref().unwrap_or_default()).map_err(error),
        }
    }

    /// Deletes what the manager applied and the manifests no more have.
    pub(super) async fn run(
        &self,
        session: &Session,
        applied: &Applied,
        manager: &str,
        dry_run: &str,
    ) -> Result<(), Failure> {
        if !self.prune {
            return Ok(());
        }
        for resource in self.types(session).await? {
            let places: Vec<Option<&str>> = match resource.namespaced {
                true => applied.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect(),
                false => vec![None],
            };
            for place in places {
                let labels = self.selector.as_deref().unwrap_or_default();
                let list = session.objects.list(&resource, place, labels).await.map_err(kubectl_failure)?;
                for object in list.iter().filter(|object| goes(object, applied, manager)) {
                    delete(session, &resource, object, dry_run).await?;
                }
            }
        }
        Ok(())
    }

    async fn types(&self, session: &Session) -> Result<Vec<Resource>, Failure> {
        let discovery = session.discovery().await?;
        let known = |group: &str, version: &str, kind: &str| {
            let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            discovery.of(&json!({"apiVersion": version, "kind": kind})).cloned()
        };
        if self.prune_allowlist.is_empty() {
            return Ok(TYPES
                .iter()
                .filter_map(|(group, version, kind)| known(group, version, kind))
                .collect());
        }
        let named = self.prune_allowlist.iter().map(|name| {
            let parts: Vec<&str> = name.split('/').collect();
            let [group, version, kind] = parts.as_slice() else {
                return Err(error(format!(
                    "invalid GroupVersionKind format: {name}, please follow <group/version/kind>"
                )));
            };
            let group = if *group == "core" { "" } else { group };
            known(group, version, kind).ok_or_else(|| {
                error(format!("no matches for kind \"{kind}\" in version \"{group}/{version}\""))
            })
        });
        named.collect()
    }
}

/// Whether an object was applied once and is not now. What others made is nobody's to prune.
fn goes(object: &Value, applied: &Applied, manager: &str) -> bool {
    let annotated = object["metadata"]["annotations"].get(LAST_APPLIED).is_some();
    let managed = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let by_us = managed.into_iter().any(|it| it["manager"] == manager && it["operation"] == "Apply");
    (annotated || by_us)
        && object["metadata"]["deletionTimestamp"].is_null()
        && !applied.uids.contains(text(object, "/metadata/uid"))
}

async fn delete(
    session: &Session,
    resource: &Resource,
    object: &Value,
    dry_run: &str,
) -> Result<(), Failure> {
    let name = text(object, "/metadata/name");
    let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    if dry_run == "none" {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        session.objects.delete(resource, namespace, name, &options).await.map_err(kubectl_failure)?;
    }
    let done = format!("pruned{}", written::dry_run(dry_run));
    output::line(&format!("{}/{name} {done}", resource.qualified_singular()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_applied_and_is_no_more_goes() {
        let mut applied = Applied::default();
        applied.add(&json!({"metadata": {"uid": "1", "namespace": "default"}}));
        let managed = |uid: &str, manager: &str, operation: &str| json!({"metadata": {"uid": uid, "managedFields": [{"manager": manager, "operation": operation}]}});
        assert!(goes(&managed("2", "kubectl", "Apply"), &applied, "kubectl"));
        assert!(goes(
            &json!({"metadata": {"uid": "2", "annotations": {LAST_APPLIED: "{}"}}}),
            &applied,
            "kubectl"
        ));
        assert!(!goes(&managed("1", "kubectl", "Apply"), &applied, "kubectl"));
        assert!(!goes(&managed("2", "helm", "Apply"), &applied, "kubectl"));
        assert!(!goes(&managed("2", "kubectl", "Update"), &applied, "kubectl"));
        assert!(Prune { prune: true, ..Prune::default() }.check().is_err());
    }

    #[test]
    fn every_form_of_selector_is_understood() {
        let object = json!({"metadata": {"labels": {"app": "reviews", "version": "v1"}}});
        for (selector, wanted) in [
            ("app=reviews", true),
            ("app==reviews,version=v1", true),
            ("app=reviews,version!=v1", false),
            ("app in (ratings, reviews),version", true),
            ("version notin (v1,v2)", false),
            ("!owner", true),
            ("!app", false),
        ] {
            let prune = Prune { selector: Some(selector.to_owned()), ..Prune::default() };
            let selects = prune.check().map(|selector| selector.matches(&object["metadata"]["labels"]));
            assert_eq!(selects.ok(), Some(wanted), "{selector}");
        }
        let prune = Prune { selector: Some("app of (a)".to_owned()), ..Prune::default() };
        assert!(prune.check().is_err());
    }
}
