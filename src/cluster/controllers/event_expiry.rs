//! Events go an hour after they were last seen, as in Kubernetes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::context::{Context, seconds_since, text};
use crate::api_client::ResourceRef;
use crate::events::EVENT_LIFETIME;

/// How often old events are looked for.
const PAUSE: Duration = Duration::from_secs(60);

/// Runs until it is aborted.
pub(super) async fn run(context: Arc<Context>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let events = context.list(&ResourceRef::EVENTS, "").await.unwrap_or_default();
        for event in events.iter().filter(|event| is_old(event)) {
            if let Err(error) = context.delete(&ResourceRef::EVENTS, event).await {
                tracing::debug!(%error, "an old event stays");
            }
        }
    }
}

fn is_old(event: &Value) -> bool {
    let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
    let latest = times.iter().filter_map(|time| seconds_since(text(event, time)));
    latest.min_by(f64::total_cmp).is_some_and(|age| age > EVENT_LIFETIME.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_as_old_as_its_last_sight() {
        let now = super::super::context::now();
        assert!(is_old(&json!({"lastTimestamp": "2020-01-01T00:00:00Z"})));
        assert!(!is_old(
            &json!({"lastTimestamp": now, "metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}})
        ));
        assert!(!is_old(&json!({})));
    }
}
