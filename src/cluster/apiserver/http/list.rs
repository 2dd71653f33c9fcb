//! List and watch over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::body::Form;
use super::table::{self, IncludeObject};
use super::{Api, Call, bytes_response};
use crate::api_client::resource::{name_of, namespace_of};
use crate::apiserver::error::{ApiError, Cause};
use crate::apiserver::kinds;
use crate::apiserver::object_meta;
use crate::apiserver::watch::{ObjectWatch, WatchEvent};

/// Watches without `timeoutSeconds` end after this, plus up to as much again.
const WATCH_SECONDS: u64 = 1800;
/// Time between bookmarks.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// Events gathered into one write.
const BURST: usize = 128;

impl Api {
    /// A list, paged when asked for.
    pub(super) fn list(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        let filter = self.operations.filter(
            &call.target,
            call.query.get("labelSelector"),
            call.query.get("fieldSelector"),
        )?;
        self.check_revision(call)?;
        let (mut objects, revision) = self.operations.select(&call.target, &filter);
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        let resume = call.query.get("continue");
        if !resume.is_empty() {
            let (namespace, name) = read_continue(resume)?;
            objects.retain(|object| {
                (namespace_of(object), name_of(object)) > (namespace.as_str(), name.as_str())
            });
        }
        let limit = call.query.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
        if limit > 0 && objects.len() > limit {
            // With a selector the count would need the rest to be filtered: Kubernetes leaves it out.
            if call.query.get("labelSelector").is_empty() && call.query.get("fieldSelector").is_empty() {
                metadata["remainingItemCount"] = json!(objects.len() - limit);
            }
            objects.truncate(limit);
            if let Some(last) = objects.last() {
                metadata["continue"] = json!(write_continue(namespace_of(last), name_of(last)));
            }
        }
        Ok(self.shown_list(call, &objects, metadata))
    }

    /// A revision that this server has not reached yet cannot be served.
    fn check_revision(&self, call: &Call) -> Result<(), ApiError> {
        let wanted = call.query.get("resourceVersion");
        if wanted.is_empty() && !call.query.get("resourceVersionMatch").is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            let cause = Cause::forbidden("resourceVersionMatch", why);
            return Err(ApiError::invalid_options("ListOptions", cause));
        }
        let Ok(wanted) = (if wanted.is_empty() { "0" } else { wanted }).parse::<u64>() else {
            return Err(ApiError::bad_request(format!(
                "resourceVersion: Invalid value: {wanted:?}: strconv.ParseUint: invalid syntax"
            )));
        };
        let current = self.operations.store.revision();
        if wanted > current {
            let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
            let mut error = ApiError::new(504, "Timeout", message);
            error.details.retry_after_seconds = Some(1);
            error.details.causes.push(Cause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            });
            return Err(error);
        }
        if call.query.get("resourceVersionMatch") == "Exact" && wanted != 0 && wanted != current {
            return Err(ApiError::expired(
                "The provided resource version is no longer kept; list without resourceVersionMatch=Exact.",
            ));
        }
        Ok(())
    }

    /// A list in the form the client wants.
    pub(super) fn shown_list(&self, call: &Call, objects: &[Arc<Value>], metadata: Value) -> Response<Body> {
        let objects: Vec<Arc<Value>> =
            objects.iter().map(|object| kinds::in_version(&call.target, object)).collect();
        let (kind, api_version) = match call.accept.form {
            Form::Table => {
                let document =
                    table::table(&call.target, &objects, &IncludeObject::of(&call.query), metadata);
                return super::json_response(StatusCode::OK, &document);
            }
            Form::PartialMetadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
            Form::Object => (call.target.definition.list_kind.clone(), call.target.api_version()),
        };
        let mut bytes = Vec::with_capacity(objects.len() * 1024 + 256);
        bytes.extend_from_slice(
            format!(
                "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
                json!(kind),
                json!(api_version)
            )
            .as_bytes(),
        );
        for (at, object) in objects.iter().enumerate() {
            if at > 0 {
                bytes.push(b',');
            }
            let written = match call.accept.form {
                Form::PartialMetadata => serde_json::to_writer(&mut bytes, &table::partial_metadata(object)),
                _ if call.target.definition.custom => serde_json::to_writer(&mut bytes, &**object),
                _ => serde_json::to_writer(&mut bytes, &WithoutType(object)),
            };
            debug_assert!(written.is_ok(), "writing JSON to memory cannot fail");
        }
        bytes.extend_from_slice(b"]}\n");
        bytes_response(StatusCode::OK, "application/json", bytes)
    }

    /// A watch stream.
    pub(super) async fn watch(&self, call: Call) -> Result<Response<Body>, ApiError> {
        let mut filter = self.operations.filter(
            &call.target,
            call.query.get("labelSelector"),
            call.query.get("fieldSelector"),
        )?;
        if !call.target.name.is_empty() {
            let selector = format!("metadata.name={}", call.target.name);
            filter = self.operations.filter(&call.target, call.query.get("labelSelector"), &selector)?;
        }
        let wanted = call.query.get("resourceVersion");
        let initial = call.query.has("sendInitialEvents").then(|| call.query.flag("sendInitialEvents"));
        let revision =
            match (wanted, initial) {
                (_, Some(true)) | ("" | "0", None) => None,
                ("" | "0", Some(false)) => Some(self.operations.store.revision()),
                (text, _) => Some(text.parse().map_err(|_| {
                    ApiError::bad_request(format!("resourceVersion: Invalid value: {text:?}"))
                })?),
            };
        let watch = self.operations.watch(&call.target, filter, revision)?;
        let stream = WatchStream::new(call, watch, initial == Some(true));
        let body = Body::from_stream(futures::stream::unfold(stream, WatchStream::next));
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

/// An object as it stands in a list of a built-in kind: what the list says of the type is not repeated.
struct WithoutType<'a>(&'a Value);

impl serde::Serialize for WithoutType<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.as_object().into_iter().flatten();
        serializer.collect_map(fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind")))
    }
}

fn write_continue(namespace: &str, name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{namespace}\0{name}"))
}

fn read_continue(token: &str) -> Result<(String, String), ApiError> {
    let wrong = || ApiError::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    text.split_once('\0').map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).ok_or_else(wrong)
}

/// The state of one watch answer.
struct WatchStream {
    call: Call,
    watch: ObjectWatch,
    ends: Instant,
    bookmark_at: Instant,
    bookmarks: bool,
    /// A bookmark that says "that was everything" is still owed.
    initial_end: bool,
    /// Table columns were sent.
    columns_sent: bool,
    over: bool,
}

impl WatchStream {
    fn new(call: Call, watch: ObjectWatch, initial: bool) -> Self {
        let asked = call
            .query
            .number("timeoutSeconds")
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0);
        let spread = u64::from(u16::from_be_bytes(object_meta::random())) % WATCH_SECONDS;
        let now = Instant::now();
        let bookmarks = call.query.flag("allowWatchBookmarks");
        Self {
            ends: now + Duration::from_secs(asked.unwrap_or(WATCH_SECONDS + spread)),
            bookmark_at: now + BOOKMARK_PERIOD,
            initial_end: initial && bookmarks,
            columns_sent: false,
            over: false,
            bookmarks,
            call,
            watch,
        }
    }

    /// The next chunk: one event, and what else is there already.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.over {
            return None;
        }
        let mut chunk = Vec::new();
        if self.initial_end {
            self.drain(&mut chunk);
            if chunk.is_empty() {
                self.initial_end = false;
                self.write_bookmark(&mut chunk, true);
            }
            return Some((Ok(chunk.into()), self));
        }
        let stop = self.call.stop.clone();
        tokio::select! {
            biased;
            event = self.watch.next() => match event {
                Ok(event) => {
                    self.write(&mut chunk, &event);
                    self.drain(&mut chunk);
                }
                Err(error) => {
                    self.over = true;
                    write_line(&mut chunk, "ERROR", &error.to_status());
                }
            },
            () = tokio::time::sleep_until(self.ends) => {
                self.over = true;
                if self.bookmarks {
                    self.write_bookmark(&mut chunk, false);
                }
            }
            () = tokio::time::sleep_until(self.bookmark_at), if self.bookmarks => {
                self.bookmark_at = Instant::now() + BOOKMARK_PERIOD;
                self.write_bookmark(&mut chunk, false);
            }
            () = stop.cancelled() => return None,
        }
        Some((Ok(chunk.into()), self))
    }

    fn drain(&mut self, chunk: &mut Vec<u8>) {
        for _ in 0..BURST {
            let Some(event) = self.watch.try_next() else { return };
            self.write(chunk, &event);
        }
    }

    fn write(&mut self, chunk: &mut Vec<u8>, event: &WatchEvent) {
        let object = kinds::in_version(&self.call.target, &event.object);
        let kind = event.event_type.as_str();
        match self.call.accept.form {
            Form::Object => write_line(chunk, kind, &object),
            Form::PartialMetadata => write_line(chunk, kind, &table::partial_metadata(&object)),
            Form::Table => {
                let include = IncludeObject::of(&self.call.query);
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let mut document =
                    table::table(&self.call.target, std::slice::from_ref(&object), &include, metadata);
                if std::mem::replace(&mut self.columns_sent, true) {
                    document["columnDefinitions"] = Value::Null;
                }
                write_line(chunk, kind, &document);
            }
        }
    }

    fn write_bookmark(&mut self, chunk: &mut Vec<u8>, initial_end: bool) {
        let mut metadata =
            json!({"resourceVersion": self.watch.position().to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.call.accept.form {
            Form::Table => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": null, "rows": []})
            }
            Form::PartialMetadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Object => {
                json!({"kind": self.call.target.definition.reference.kind, "apiVersion": self.call.target.api_version(), "metadata": metadata})
            }
        };
        write_line(chunk, "BOOKMARK", &object);
    }
}

fn write_line(chunk: &mut Vec<u8>, kind: &str, object: &Value) {
    chunk.extend_from_slice(b"{\"type\":\"");
    chunk.extend_from_slice(kind.as_bytes());
    chunk.extend_from_slice(b"\",\"object\":");
    let written = serde_json::to_writer(&mut *chunk, object);
    debug_assert!(written.is_ok(), "writing JSON to memory cannot fail");
    chunk.extend_from_slice(b"}\n");
}
