//! Writes the pod's status whenever it changes, always the latest and never two at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PodContext, status};
use crate::api_client::ResourceRef;

/// Before a failed write is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Runs until it is aborted or the pod's object is gone.
pub(super) async fn run(pod: Arc<PodContext>) {
    let mut written = Value::Null;
    let mut object = pod.object.clone();
    loop {
        let changed = pod.board.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let wanted = status::of(&pod);
        if wanted != written {
            match pod
                .node
                .api
                .merge_patch(
                    &ResourceRef::PODS,
                    &pod.namespace,
                    &pod.name,
                    "status",
                    json!({"status": wanted}),
                )
                .await
            {
                Ok(_) => written = wanted,
                Err(error) if error.is_not_found() => return,
                Err(error) => {
                    tracing::warn!(pod = pod.name, %error, "cannot write the pod's status");
                    tokio::time::sleep(RETRY).await;
                }
            }
            continue;
        }
        tokio::select! {
            () = changed => {}
            // A change of the object may be a readiness gate's condition.
            result = object.changed() => if result.is_err() { return },
        }
    }
}
