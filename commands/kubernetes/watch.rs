//! Watching objects: the current ones first, then what changes, across expired versions and broken connections.

use futures::stream::{BoxStream, StreamExt};
use http::Request;
use kube::core::WatchEvent;
use kube::{Client, Error};
use serde_json::Value;

use super::request::with_query;
use super::resource::{Resource, text};

/// A change of one object.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// It exists and looks like this now.
    Applied(Value),
    /// It is gone; this is how it looked last.
    Deleted(Value),
}

/// What to watch.
#[derive(Debug, Clone)]
struct Scope {
    collection: String,
    labels: String,
    fields: String,
}

/// Streams objects of a type that match the selectors: everything there is, then every change. The stream ends only with an error
/// that a retry cannot mend.
pub(crate) fn watch(
    client: &Client,
    resource: &Resource,
    namespace: Option<&str>,
    labels: &str,
    fields: &str,
) -> BoxStream<'static, Result<Event, Error>> {
    let scope =
        Scope { collection: resource.collection(namespace), labels: labels.into(), fields: fields.into() };
    let client = client.clone();
    let rounds = futures::stream::unfold(0u32, move |round| {
        let (client, scope) = (client.clone(), scope.clone());
        async move {
            if round > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            Some((one_round(client, scope).await, round.saturating_add(1)))
        }
    });
    rounds.flatten().boxed()
}

/// One list and the watch after it. A watch that ends, for whatever reason, ends the round.
async fn one_round(client: Client, scope: Scope) -> BoxStream<'static, Result<Event, Error>> {
    let list = match list(&client, &scope).await {
        Ok(list) => list,
        Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
    };
    let version = text(&list, "/metadata/resourceVersion").to_owned();
    let current = match list {
        Value::Object(mut map) => match map.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let changes = match changes(&client, &scope, &version).await {
        Ok(changes) => changes,
        Err(error) => futures::stream::once(async { Err(error) }).boxed(),
    };
    futures::stream::iter(current.into_iter().map(|object| Ok(Event::Applied(object)))).chain(changes).boxed()
}

async fn list(client: &Client, scope: &Scope) -> Result<Value, Error> {
    let path = with_query(
        scope.collection.clone(),
        &[("labelSelector", &scope.labels), ("fieldSelector", &scope.fields)],
    );
    client.request(Request::get(path).body(Vec::new()).map_err(Error::HttpError)?).await
}

async fn changes(
    client: &Client,
    scope: &Scope,
    version: &str,
) -> Result<BoxStream<'static, Result<Event, Error>>, Error> {
    let path = with_query(
        scope.collection.clone(),
        &[
            ("labelSelector", &scope.labels),
            ("fieldSelector", &scope.fields),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
        ],
    );
    let request = Request::get(path).body(Vec::new()).map_err(Error::HttpError)?;
    let events = client.request_events::<Value>(request).await?;
    let events = StreamExt::filter_map(events, |event| async move {
        match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Some(Ok(Event::Applied(object))),
            Ok(WatchEvent::Deleted(object)) => Some(Ok(Event::Deleted(object))),
            Ok(WatchEvent::Bookmark(_)) => None,
            // An expired version: the stream ends and the next round lists again.
            Ok(WatchEvent::Error(status)) if status.code == 410 => None,
            Ok(WatchEvent::Error(status)) => Some(Err(Error::Api(status))),
            Err(error) => Some(Err(error)),
        }
    });
    Ok(events.boxed())
}
