//! When the kinds that the API server knows may have changed: a watch of its CustomResourceDefinitions that keeps nothing of them.

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use sagene_base::backoff::{Backoff, BackoffPolicy};
use sagene_base::task;
use tokio::sync::watch;

/// A number that grows with every change. Without permission to see definitions it never does.
pub(super) fn follow(client: &Client) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(0);
    let resource = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    // Only metadata is asked for.
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource);
    let followed = async move {
        let stream = watcher::watcher(api, watcher::Config::default());
        futures::pin_mut!(stream);
        let mut backoff = Backoff::new(BackoffPolicy::default());
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init | Event::InitApply(_)) => {}
                Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                    backoff.reset();
                    sender.send_modify(|changes| *changes += 1);
                }
                Err(error) => {
                    tracing::debug!(error = %task::error_chain(&error), "cannot watch definitions");
                    backoff.wait().await;
                }
            }
        }
    };
    drop(task::spawn("watch definitions", followed));
    receiver
}

/// Resolves at the next change.
pub(super) async fn change(definitions: &mut watch::Receiver<u64>) {
    // The sender lives as long as the watch; without it nothing will be said any more.
    if definitions.changed().await.is_err() {
        std::future::pending().await
    }
}
