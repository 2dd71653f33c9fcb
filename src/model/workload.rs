//! What a pod is to the mesh: its workload, its canonical service and revision, its identity, whether it has a sidecar.

use sagene_api::kubernetes::Pod;
use sagene_api::{Object, OwnerReference};

use crate::labels::Labels;
use crate::mesh::Mesh;
use crate::spiffe::Identity;

/// Label by which a pod says that its proxy takes mutual TLS.
pub const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";
/// Label that names the canonical service.
pub const CANONICAL_NAME_LABEL: &str = "service.istio.io/canonical-name";
/// Label that names the canonical revision.
pub const CANONICAL_REVISION_LABEL: &str = "service.istio.io/canonical-revision";
/// Label that names the workload where its owner does not.
const WORKLOAD_NAME_LABEL: &str = "service.istio.io/workload-name";

/// Name of the workload that a pod belongs to: its Deployment's where a ReplicaSet owns it, else its controller's, else its own.
pub fn workload_name(pod: &Object<Pod>) -> String {
    if let Some(name) = pod.metadata.labels.get(WORKLOAD_NAME_LABEL) {
        return name.clone();
    }
    let Some(owner) = controller(&pod.metadata.owner_references) else {
        return if pod.metadata.name.is_empty() {
            pod.metadata.generate_name.trim_end_matches('-').to_owned()
        } else {
            pod.metadata.name.clone()
        };
    };
    let hash = pod.metadata.labels.get("pod-template-hash");
    match (owner.kind.as_str(), hash) {
        ("ReplicaSet", Some(hash)) => {
            owner.name.strip_suffix(&format!("-{hash}")).unwrap_or(&owner.name).to_owned()
        }
        ("Job", _) => cron_job_of(&owner.name).unwrap_or(&owner.name).to_owned(),
        _ => owner.name.clone(),
    }
}

fn controller(owners: &[OwnerReference]) -> Option<&OwnerReference> {
    owners.iter().find(|owner| owner.controller).or_else(|| owners.first())
}

/// A Job made by a CronJob is called `<cronjob>-<minutes since 1970>`.
fn cron_job_of(job: &str) -> Option<&str> {
    let (name, minutes) = job.rsplit_once('-')?;
    (minutes.len() >= 8 && minutes.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// Canonical service and revision by labels, with the workload's name as the last word on the service.
pub fn canonical(labels: &Labels, workload: &str) -> (String, String) {
    let first = |keys: &[&str], fallback: &str| {
        let found = keys.iter().find_map(|key| labels.get(*key)).filter(|value| !value.is_empty());
        found.map_or(fallback, String::as_str).to_owned()
    };
    (
        first(&[CANONICAL_NAME_LABEL, "app.kubernetes.io/name", "app"], workload),
        first(&[CANONICAL_REVISION_LABEL, "app.kubernetes.io/version", "version"], "latest"),
    )
}

/// The identity a pod's certificate carries.
pub fn identity(pod: &Object<Pod>, mesh: &Mesh) -> Identity {
    Identity::new(&mesh.trust_domain, &pod.metadata.namespace, service_account(pod))
}

/// Service account of a pod; `default` where none is named.
pub fn service_account(pod: &Object<Pod>) -> &str {
    if pod.spec.service_account_name.is_empty() { "default" } else { &pod.spec.service_account_name }
}

/// True where a container or native sidecar of the pod is the mesh's proxy.
pub fn has_proxy(pod: &Object<Pod>) -> bool {
    pod.spec
        .containers
        .iter()
        .chain(&pod.spec.init_containers)
        .any(|container| container.name == "istio-proxy")
}

/// True where the pod ran to its end.
pub fn is_finished(pod: &Object<Pod>) -> bool {
    pod.status.as_ref().is_some_and(|status| matches!(status.phase.as_str(), "Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner_kind: &str, owner: &str, hash: &str) -> Object<Pod> {
        let mut pod = Object::new("shop", "p", Pod::default());
        pod.metadata.owner_references.push(OwnerReference {
            kind: owner_kind.to_owned(),
            name: owner.to_owned(),
            controller: true,
            ..OwnerReference::default()
        });
        pod.metadata.labels.insert("pod-template-hash".to_owned(), hash.to_owned());
        pod
    }

    #[test]
    fn workloads_are_named_after_what_the_user_made() {
        assert_eq!(workload_name(&pod("ReplicaSet", "reviews-v1-abc", "abc")), "reviews-v1");
        assert_eq!(workload_name(&pod("StatefulSet", "db", "")), "db");
        assert_eq!(workload_name(&pod("Job", "night-29384756", "")), "night");
        assert_eq!(workload_name(&pod("Job", "once-2", "")), "once-2");
        assert_eq!(workload_name(&Object::new("shop", "bare", Pod::default())), "bare");
    }

    #[test]
    fn canonical_names_fall_back_step_by_step() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(canonical(&labels(&[]), "w"), ("w".to_owned(), "latest".to_owned()));
        assert_eq!(
            canonical(&labels(&[("app", "a"), ("version", "v1")]), "w"),
            ("a".to_owned(), "v1".to_owned())
        );
        assert_eq!(
            canonical(
                &labels(&[("app", "a"), ("app.kubernetes.io/name", "n"), (CANONICAL_NAME_LABEL, "c")]),
                "w"
            )
            .0,
            "c"
        );
    }
}
