//! `--watch`: after the findings of now, those that come and those that go, as the cluster changes.
//!
//! Each kind is followed from the state that was listed. Where the API server has forgotten that state, or ends the connection, the kind is
//! listed again. The settings of the mesh and CustomResourceDefinitions are those of the beginning.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use http::Request;
use kube::core::WatchEvent;
use kube::{Client, Error};
use sagene_analysis::Message;
use sagene_analysis::filter::Filter;
use sagene_analysis::incremental::{Analysis, Event};
use serde_json::Value;

use super::live::{Listed, fields, list, name_type};
use super::report::{self, Format};
use crate::exit::Failure;
use crate::kubernetes::{Objects, with_query};
use crate::output;

/// Changes that follow one another this closely are looked at together.
const QUIET: Duration = Duration::from_millis(100);
/// Most changes that are looked at together.
const MOST_TOGETHER: usize = 1000;
/// Before a kind is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows the cluster until the user ends it. Answers what is found then.
pub(super) async fn follow(
    client: &Client,
    listed: Vec<Listed>,
    mut analysis: Analysis,
    filter: &Filter,
    shows: &dyn Fn(&Message) -> bool,
    format: Format,
) -> Result<Vec<Message>, Failure> {
    let kinds = listed.into_iter().map(|listed| changes(client.clone(), listed));
    let mut events = stream::select_all(kinds).ready_chunks(MOST_TOGETHER);
    let mut ended = std::pin::pin!(tokio::signal::ctrl_c());
    output::progress("Watching for changes; Ctrl-C ends it.");
    loop {
        let mut together = tokio::select! {
            _ = &mut ended => break,
            Some(next) = events.next() => next,
            // Nothing that may be listed is nothing to follow.
            else => break,
        };
        while together.len() < MOST_TOGETHER
            && let Ok(Some(more)) = tokio::time::timeout(QUIET, events.next()).await
        {
            together.extend(more);
        }
        let difference = analysis.apply(together);
        let (resolved, _) = filter.divide(analysis.input(), difference.resolved);
        for message in resolved.iter().filter(|message| shows(message)) {
            output::line(&format!(
                "Resolved [{}] ({}) {}",
                message.code.id(),
                message.object.origin(),
                message.text
            ));
        }
        let (found, _) = filter.divide(analysis.input(), difference.found);
        let found: Vec<&Message> = found.iter().filter(|message| shows(message)).collect();
        if !found.is_empty() {
            report::print(format, analysis.input(), &found)?;
        }
    }
    Ok(filter.divide(analysis.input(), analysis.findings()).0)
}

/// The changes of a kind, for ever: each round follows the state that was listed last, and lists again where it ends.
fn changes(client: Client, listed: Listed) -> BoxStream<'static, Event> {
    stream::unfold((client, listed, false), |(client, mut listed, is_begun)| async move {
        let again = if is_begun { Some(list_again(&client, &mut listed).await) } else { None };
        let after = round(client.clone(), listed.clone()).await;
        Some((stream::iter(again).chain(after), (client, listed, true)))
    })
    .flatten()
    .boxed()
}

/// All objects of the kind as they are now, as soon as the API server answers.
async fn list_again(client: &Client, listed: &mut Listed) -> Event {
    let objects = Objects::new(client.clone());
    loop {
        tokio::time::sleep(AGAIN).await;
        // Whoever cannot be reached now may be later; the findings stay as they are meanwhile.
        let Ok((items, now)) = list(&objects, &listed.resource, listed.namespace.as_deref()).await else {
            continue;
        };
        *listed = now;
        let api_version = listed.resource.api_version();
        let (kind, namespace) = (listed.resource.kind.clone(), listed.namespace.clone());
        return Event::Replaced { api_version, kind, namespace, items };
    }
}

/// What happens after the state that was listed, until the API server ends it.
async fn round(client: Client, listed: Listed) -> BoxStream<'static, Event> {
    let query = [
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", listed.version.as_str()),
        ("fieldSelector", fields(&listed.resource)),
    ];
    let path = with_query(listed.resource.collection(listed.namespace.as_deref()), &query);
    let Ok(request) = Request::get(path).body(Vec::new()) else { return stream::empty().boxed() };
    let Ok(events) = client.request_events::<Value>(request).await else { return stream::empty().boxed() };
    let typed = move |mut object: Value| {
        name_type(&mut object, &listed.resource);
        object
    };
    // An error is the end of the round: an expired state, or a broken connection.
    let known = events.take_while(|event| {
        let goes_on = matches!(event, Ok(event) if !matches!(event, WatchEvent::Error(_)));
        std::future::ready(goes_on)
    });
    let told = known.filter_map(move |event: Result<WatchEvent<Value>, Error>| {
        std::future::ready(match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                Some(Event::Applied(typed(object)))
            }
            Ok(WatchEvent::Deleted(object)) => Some(Event::Deleted(typed(object))),
            _ => None,
        })
    });
    told.boxed()
}
