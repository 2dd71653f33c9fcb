//! Leaving the Services: the containers of a deleted pod are told to end only when those who send requests have heard that it goes.
//!
//! Kubernetes tells both at once and leaves the order to chance: there the runtime of containers takes longer than the news. Here it takes a
//! few milliseconds, so that a program that ends at once would be gone while every client still knows its address, and no other.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::api_client::{ApiClient, ApiError, ListOptions, ResourceRef, WatchEventType, WatchOptions};

/// What the news takes from an EndpointSlice to the last proxy: a control plane's push, on a busy machine.
const NEWS: Duration = Duration::from_millis(200);
/// The controller of EndpointSlices is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns when no EndpointSlice calls the deleted pod ready any more and those who follow them had time to hear of it; at once where it is
/// no endpoint of any Service.
pub(super) async fn services(api: &ApiClient, namespace: &str, uid: &str) {
    match timeout(PATIENCE, left(api, namespace, uid)).await {
        Ok(Ok(false)) => return,
        Ok(Ok(true)) => {}
        Ok(Err(error)) => {
            tracing::warn!(namespace, uid, %error, "cannot follow the endpoints of a pod that ends")
        }
        Err(_) => tracing::warn!(namespace, uid, "a pod ends although it is an endpoint still"),
    }
    sleep(NEWS).await;
}

/// Waits until the pod is ready in no slice; returns whether it was.
async fn left(api: &ApiClient, namespace: &str, uid: &str) -> Result<bool, ApiError> {
    let kind = ResourceRef::ENDPOINT_SLICES;
    let slices = api.list(&kind, namespace, &ListOptions::default()).await?;
    if !slices.items.iter().any(|slice| role(slice, uid).serves()) {
        return Ok(false);
    }
    let ready_in = slices.items.iter().filter(|slice| role(slice, uid) == Role::Ready);
    let mut ready_in: HashSet<String> = ready_in.map(|slice| name(slice)).collect();
    let options = WatchOptions { resource_version: Some(slices.resource_version), ..WatchOptions::default() };
    let mut changes = api.watch(&kind, namespace, &options).await?;
    while !ready_in.is_empty() {
        let change = changes.next().await?;
        let gone = change.event_type == WatchEventType::Deleted;
        if !gone && role(&change.object, uid) == Role::Ready {
            ready_in.insert(name(&change.object));
        } else {
            ready_in.remove(&name(&change.object));
        }
    }
    Ok(true)
}

fn name(slice: &Value) -> String {
    slice["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// What a slice says of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nobody sends it requests.
    None,
    /// It takes requests and is known to leave.
    Leaving,
    Ready,
}

impl Role {
    /// Whether requests may still come.
    fn serves(self) -> bool {
        self != Self::None
    }
}

fn role(slice: &Value, uid: &str) -> Role {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let of_pod = endpoints.filter(|endpoint| endpoint["targetRef"]["uid"] == uid);
    let roles = of_pod.map(|endpoint| &endpoint["conditions"]).map(|conditions| {
        if conditions["ready"] == true {
            Role::Ready
        } else if conditions["serving"] == true {
            Role::Leaving
        } else {
            Role::None
        }
    });
    roles
        .fold(Role::None, |known, role| if known == Role::Ready || role == Role::None { known } else { role })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::apiserver::{ApiServer, ApiServerConfig, RunningApiServer};
    use crate::pod_runtime::PodRuntimeHandle;

    async fn server(folder: &std::path::Path) -> RunningApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let advertise = listener.local_addr().expect("an address");
        let config = ApiServerConfig {
            state_dir: folder.to_owned(),
            listeners: vec![listener],
            node_ip: None,
            advertise,
            dual_stack: false,
            pod_runtime: PodRuntimeHandle::default(),
        };
        ApiServer::start(config).await.expect("an API server")
    }

    fn slice(name: &str, ready: bool) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "name": name },
            "addressType": "IPv4", "ports": [],
            "endpoints": [{
                "addresses": ["10.0.0.1"], "targetRef": { "kind": "Pod", "name": "p", "uid": "one" },
                "conditions": { "ready": ready, "serving": true, "terminating": !ready },
            }],
        })
    }

    #[tokio::test]
    async fn a_pod_ends_after_every_slice_has_said_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = server(folder.path()).await;
        let api = &server.client;
        let kind = ResourceRef::ENDPOINT_SLICES;
        for name in ["a", "b"] {
            api.create(&kind, "default", slice(name, true)).await.expect("a slice");
        }
        assert!(!left(api, "default", "another").await.expect("an answer"));
        let mut leaving = Box::pin(left(api, "default", "one"));
        assert!((&mut leaving).now_or_never().is_none(), "ready in both");
        api.update(&kind, "default", slice("a", false)).await.expect("a change");
        assert!((&mut leaving).now_or_never().is_none(), "ready in one");
        api.update(&kind, "default", slice("b", false)).await.expect("a change");
        let waited = timeout(Duration::from_secs(60), leaving).await.expect("the end");
        assert!(waited.expect("an answer"));
        // Who comes later has the same to wait for, once all have said it.
        assert!(left(api, "default", "one").await.expect("an answer"));
        server.shutdown().await;
    }
}
