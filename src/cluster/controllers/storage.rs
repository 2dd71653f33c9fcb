//! PersistentVolumes and their claims: claims get a volume that is there, or a folder of this machine; volumes outlive their claims
//! as their policy says.

mod matching;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, text};
use crate::api_client::{ApiError, ResourceRef};
use crate::events::Event;

/// The provisioner of the class `standard`: folders in the state directory.
pub(crate) const PROVISIONER: &str = "sagene.io/host-path";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const COMPONENT: &str = "persistentvolume-controller";

/// A claim: bound to its volume, or told why it waits.
pub(super) async fn claim(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let kind = ResourceRef::PERSISTENT_VOLUME_CLAIMS;
    let Some(claim) = context.get(&kind, namespace, name).await? else { return Ok(None) };
    if claim["metadata"]["deletionTimestamp"].is_string() {
        return Ok(None);
    }
    let named = text(&claim, "/spec/volumeName");
    if !named.is_empty() {
        return match context.get(&ResourceRef::PERSISTENT_VOLUMES, "", named).await? {
            Some(volume) if matching::belongs(&volume, &claim) => bind(context, &claim, &volume).await,
            Some(_) => {
                wait(
                    context,
                    &claim,
                    Event::warning(
                        "FailedBinding",
                        format!("volume {named:?} already bound to a different claim."),
                    ),
                )
                .await
            }
            None if text(&claim, "/status/phase") == "Bound" => {
                write_phase(context, &claim, "Lost").await?;
                let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
                tell(context, &claim, Event::warning("ClaimLost", message));
                Ok(None)
            }
            None => {
                wait(context, &claim, Event::warning("FailedBinding", format!("volume {named:?} not found")))
                    .await
            }
        };
    }
    let volumes = context.list(&ResourceRef::PERSISTENT_VOLUMES, "").await?;
    match matching::best(&volumes, &claim) {
        Some(volume) => bind(context, &claim, volume).await,
        None => provision(context, &claim).await,
    }
}

fn tell(context: &Context, claim: &Value, event: Event) {
    context.events.record(COMPONENT, &ResourceRef::PERSISTENT_VOLUME_CLAIMS, claim, event);
}

async fn wait(context: &Context, claim: &Value, event: Event) -> Reconciled {
    tell(context, claim, event);
    write_phase(context, claim, "Pending").await?;
    Ok(None)
}

async fn write_phase(context: &Context, claim: &Value, phase: &str) -> Result<(), ApiError> {
    let mut status = claim["status"].clone();
    status["phase"] = json!(phase);
    context.write_status(&ResourceRef::PERSISTENT_VOLUME_CLAIMS, claim, status).await
}

async fn provision(context: &Context, claim: &Value) -> Reconciled {
    let name = text(claim, "/spec/storageClassName");
    if name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return wait(context, claim, Event::normal("FailedBinding", message)).await;
    }
    let Some(class) = context.get(&ResourceRef::STORAGE_CLASSES, "", name).await? else {
        let message = format!("storageclass.storage.k8s.io {name:?} not found");
        return wait(context, claim, Event::warning("ProvisioningFailed", message)).await;
    };
    let provisioner = text(&class, "/provisioner");
    if provisioner != PROVISIONER {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
             administrator; the embedded cluster provisions volumes of the storage class \"standard\" only"
        );
        return wait(context, claim, Event::normal("ExternalProvisioning", message)).await;
    }
    let volume = volume_for(context, claim, &class);
    let created = match context.api.create(&ResourceRef::PERSISTENT_VOLUMES, "", volume.clone()).await {
        Ok(created) => created,
        // Made before the claim could be told.
        Err(error) if error.is_already_exists() => Arc::new(volume),
        Err(error) => return Err(error),
    };
    let message = format!("Successfully provisioned volume {}", text(&created, "/metadata/name"));
    tell(context, claim, Event::normal("ProvisioningSucceeded", message));
    bind(context, claim, &created).await
}

fn volume_for(context: &Context, claim: &Value, class: &Value) -> Value {
    let uid = text(claim, "/metadata/uid");
    let name = format!("pvc-{uid}");
    let policy = match text(class, "/reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    let path = context.volumes.join(&name);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": text(class, "/metadata/name"),
            "volumeMode": "Filesystem",
            "claimRef": claim_reference(claim),
            "hostPath": {"path": path.to_string_lossy(), "type": "DirectoryOrCreate"},
        },
    })
}

fn claim_reference(claim: &Value) -> Value {
    let metadata = &claim["metadata"];
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"], "name": metadata["name"],
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]})
}

/// Each names the other, and both say so.
async fn bind(context: &Context, claim: &Value, volume: &Value) -> Reconciled {
    let volumes = ResourceRef::PERSISTENT_VOLUMES;
    let volume_name = text(volume, "/metadata/name");
    let mut volume = context.api.get(&volumes, "", volume_name).await?;
    if volume["spec"]["claimRef"]["uid"] != claim["metadata"]["uid"] {
        let patch = json!({"spec": {"claimRef": claim_reference(claim)}});
        volume = context.api.merge_patch(&volumes, "", volume_name, "", patch).await?;
    }
    context.write_status(&volumes, &volume, json!({"phase": "Bound"})).await?;
    let claims = ResourceRef::PERSISTENT_VOLUME_CLAIMS;
    let mut bound = Arc::new(claim.clone());
    if text(claim, "/spec/volumeName").is_empty() {
        let patch = json!({
            "metadata": {"annotations": {
                "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}},
            "spec": {"volumeName": volume_name},
        });
        let (namespace, name) = (text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
        bound = context.api.merge_patch(&claims, namespace, name, "", patch).await?;
    }
    let status = json!({
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
    context.write_status(&claims, &bound, status).await?;
    Ok(None)
}

/// A volume: available, bound, or released by a claim that is gone.
pub(super) async fn volume(context: &Context, name: &str) -> Reconciled {
    let kind = ResourceRef::PERSISTENT_VOLUMES;
    let Some(volume) = context.get(&kind, "", name).await? else { return Ok(None) };
    let claim = &volume["spec"]["claimRef"];
    if text(claim, "/uid").is_empty() {
        context.write_status(&kind, &volume, json!({"phase": "Available"})).await?;
        return Ok(None);
    }
    let (namespace, claim_name) = (text(claim, "/namespace"), text(claim, "/name"));
    let found = context.get(&ResourceRef::PERSISTENT_VOLUME_CLAIMS, namespace, claim_name).await?;
    if found.is_some_and(|found| found["metadata"]["uid"] == claim["uid"]) {
        context.write_status(&kind, &volume, json!({"phase": "Bound"})).await?;
        return Ok(None);
    }
    let ours = volume["metadata"]["annotations"][PROVISIONED_BY] == PROVISIONER;
    if !ours || text(&volume, "/spec/persistentVolumeReclaimPolicy") != "Delete" {
        context.write_status(&kind, &volume, json!({"phase": "Released"})).await?;
        return Ok(None);
    }
    remove_folder(context, Path::new(text(&volume, "/spec/hostPath/path")));
    context.delete(&kind, &volume).await?;
    Ok(None)
}

/// Only what lies among the provisioned volumes is ours to remove.
fn remove_folder(context: &Context, path: &Path) {
    if path.parent() != Some(context.volumes.as_path()) {
        return;
    }
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a volume's folder");
    }
}
