//! Deployment, Service and ServiceAccount of Gateways of the Gateway API that ask for them.
//!
//! The pods are made gateways by the injector's template `gateway`. Everything is owned by the Gateway and goes with it.

mod config_maps;
mod objects;
mod parameters;

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use sagene_api::{Object, gateway_api::KubernetesGateway};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_model::{
    Kind, Snapshot,
    gateway_api::{is_managed, is_ours, service_name},
};
use sagene_store::Feed;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::leader::Leadership;
use crate::discovery::Discovery;
use config_maps::ConfigMaps;

const MANAGER: &str = "istio.io/gateway-controller";
/// What was deployed last for a Gateway and is gone when nothing asks for it any more.
const OPTIONAL: [(&str, &str, &str); 2] =
    [("autoscaling", "v2", "HorizontalPodAutoscaler"), ("policy", "v1", "PodDisruptionBudget")];

/// Namespace and name of a Gateway.
type Name = (String, String);
/// Why parameters of Gateways cannot be used; what was deployed with them last stays.
pub(crate) type Refused = BTreeMap<Name, String>;

/// Keeps the objects of managed Gateways right for as long as this replica leads, and tells whose parameters cannot be used.
pub(crate) async fn deploy(
    client: Client,
    discovery: Arc<Discovery>,
    mut feed: Feed,
    mut leadership: Leadership,
    refused: watch::Sender<Refused>,
) {
    let mut applied: BTreeMap<Name, Vec<Value>> = BTreeMap::new();
    let mut maps = ConfigMaps::new(client.clone());
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let mut failed = false;
        if leadership.is_leader() {
            let snapshot = discovery.snapshot();
            let gateways = managed(&snapshot);
            maps.follow(gateways.iter().filter_map(|one| parameters::config_map_of(one)));
            let mut wrong = Refused::new();
            for gateway in gateways {
                let key = (gateway.metadata.namespace.clone(), gateway.metadata.name.clone());
                let parameters = match parameters::of(gateway, &snapshot, &discovery.options, &maps) {
                    Ok(Some(parameters)) => parameters,
                    // They are on their way.
                    Ok(None) => continue,
                    Err(error) => {
                        wrong.insert(key, error.to_string());
                        continue;
                    }
                };
                let wanted = objects::of(gateway, &discovery.options, &parameters);
                if applied.get(&key) == Some(&wanted) {
                    continue;
                }
                match make(&client, gateway, &wanted).await {
                    Ok(()) => {
                        info!(namespace = key.0, gateway = key.1, "gateway deployed");
                        applied.insert(key, wanted);
                    }
                    Err(error) => {
                        warn!(namespace = key.0, gateway = key.1, error = %error_chain(&error), "gateway not deployed");
                        failed = true;
                    }
                }
            }
            tell(&refused, wrong);
            applied
                .retain(|(namespace, name), _| snapshot.kubernetes_gateways.get(namespace, name).is_some());
        } else {
            applied.clear();
        }
        if failed {
            backoff.wait().await;
            continue;
        }
        backoff.reset();
        until_it_matters(&mut feed, &mut leadership, &maps).await;
    }
}

/// The Gateways whose objects are made here.
fn managed(snapshot: &Snapshot) -> Vec<&Arc<Object<KubernetesGateway>>> {
    let gateways = snapshot.kubernetes_gateways.iter();
    gateways
        .filter(|one| one.metadata.deletion_timestamp.is_none())
        .filter(|one| is_ours(snapshot, &one.spec) && is_managed(snapshot, &one.spec))
        .collect()
}

fn tell(refused: &watch::Sender<Refused>, wrong: Refused) {
    refused.send_if_modified(|known| {
        if *known == wrong {
            return false;
        }
        for ((namespace, gateway), problem) in wrong.iter().filter(|(name, _)| !known.contains_key(*name)) {
            warn!(namespace, gateway, problem, "parameters of a gateway cannot be used");
        }
        *known = wrong;
        true
    });
}

async fn until_it_matters(feed: &mut Feed, leadership: &mut Leadership, maps: &ConfigMaps) {
    // Namespaces are seen or not by their labels.
    let concerns = |kind: &Kind| {
        matches!(kind, Kind::KubernetesGateway | Kind::GatewayClass | Kind::Namespace | Kind::ConfigMap)
    };
    loop {
        tokio::select! {
            changes = feed.changed() => {
                if changes.kinds().iter().any(concerns) {
                    return;
                }
            }
            () = leadership.changed() => return,
            () = maps.changed() => return,
        }
    }
}

/// Removes what the parameters of a Gateway no longer ask for, and applies its objects.
async fn make(
    client: &Client,
    gateway: &Object<KubernetesGateway>,
    objects: &[Value],
) -> Result<(), kube::Error> {
    // First what goes: an autoscaler would change the replicas that are applied.
    let (namespace, name) = service_name(gateway);
    for (group, version, kind) in OPTIONAL {
        if objects.iter().any(|object| object["kind"] == kind) {
            continue;
        }
        let api = api(client, &namespace, group, version, kind);
        let Some(stale) = api.get_metadata_opt(&name).await? else { continue };
        let owners = stale.metadata.owner_references.iter().flatten();
        if owners.into_iter().any(|owner| owner.uid == gateway.metadata.uid) {
            api.delete(&name, &DeleteParams::default()).await?;
        }
    }
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
        let api = api(client, text("/metadata/namespace"), group, version, text("/kind"));
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch(text("/metadata/name"), &parameters, &Patch::Apply(object)).await?;
    }
    Ok(())
}

fn api(client: &Client, namespace: &str, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}
