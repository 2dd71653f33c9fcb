//! `volumeClaimTemplates`: each pod has claims of its own, which stay when it goes.

use serde_json::{Value, json};

use super::super::context::{Context, text};
use crate::api_client::{ApiError, ResourceRef};

/// Makes the pod's claims that are missing and lets it mount them.
pub(super) async fn give(context: &Context, set: &Value, pod: &mut Value) -> Result<(), ApiError> {
    let namespace = text(set, "/metadata/namespace");
    let pod_name = text(pod, "/metadata/name").to_owned();
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = text(template, "/metadata/name");
        let name = format!("{volume}-{pod_name}");
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": template["metadata"], "spec": template["spec"],
        });
        claim["metadata"]["name"] = json!(name);
        claim["metadata"]["namespace"] = json!(namespace);
        for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
            claim["metadata"]["labels"][key] = value.clone();
        }
        match context.api.create(&ResourceRef::PERSISTENT_VOLUME_CLAIMS, namespace, claim).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
        let mounted = json!({"name": volume, "persistentVolumeClaim": {"claimName": name}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => {
                volumes.retain(|known| known["name"] != volume);
                volumes.push(mounted);
            }
            None => pod["spec"]["volumes"] = json!([mounted]),
        }
    }
    Ok(())
}
