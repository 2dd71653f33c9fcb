//! Reading and writing objects.

use http::{Method, Request, header};
use kube::{Client, Error};
use serde_json::{Value, json};

use super::resource::{Resource, text};

/// How to apply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApplyOptions<'a> {
    /// Field manager.
    pub(crate) manager: &'a str,
    /// Take fields that others own.
    pub(crate) force: bool,
    /// Let the server check, but not keep.
    pub(crate) dry_run: bool,
    /// `Strict`, `Warn` or `Ignore`.
    pub(crate) validation: &'a str,
}

/// Object access through one client.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
}

impl Objects {
    /// Wraps a client.
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// GET of any path.
    pub(crate) async fn get_path(&self, path: &str, accept: Option<&str>) -> Result<Value, Error> {
        let mut request = Request::get(path);
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        self.client.request(body(request, Vec::new())?).await
    }

    /// One object; `None` when it does not exist.
    pub(crate) async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        match self.get_path(&resource.object(namespace, name), None).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects of one namespace, or of all when `namespace` is `None`. A type that the server does not know has none.
    pub(crate) async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        let path = with_query(resource.collection(namespace), &[("labelSelector", labels)]);
        let mut list = match self.get_path(&path, None).await {
            Err(Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            other => other?,
        };
        let mut items = match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        for item in &mut items {
            // Lists leave out what every item has in common.
            item["apiVersion"] = json!(resource.api_version());
            item["kind"] = json!(resource.kind);
        }
        Ok(items)
    }

    /// Server-side apply.
    pub(crate) async fn apply(
        &self,
        resource: &Resource,
        object: &Value,
        options: ApplyOptions<'_>,
    ) -> Result<Value, Error> {
        let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        let path = with_query(
            resource.object(namespace, text(object, "/metadata/name")),
            &[
                ("fieldManager", options.manager),
                ("force", if options.force { "true" } else { "false" }),
                ("dryRun", if options.dry_run { "All" } else { "" }),
                ("fieldValidation", options.validation),
            ],
        );
        let request = Request::patch(path).header(header::CONTENT_TYPE, "application/apply-patch+yaml");
        self.client.request(body(request, serialized(object)?)?).await
    }

    /// Creates an object.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, Error> {
        let query = [("dryRun", if dry_run { "All" } else { "" }), ("fieldManager", "kubectl-create")];
        let request = Request::post(with_query(resource.collection(namespace), &query))
            .header(header::CONTENT_TYPE, "application/json");
        self.client.request(body(request, serialized(object)?)?).await
    }

    /// Puts an object in the place of the one there. Without a `resourceVersion` that of the one there is taken.
    pub(crate) async fn replace(&self, resource: &Resource, object: &Value) -> Result<Value, Error> {
        let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        let path = resource.object(namespace, text(object, "/metadata/name"));
        let mut object = object.clone();
        if text(&object, "/metadata/resourceVersion").is_empty() {
            let current = self.get_path(&path, None).await?;
            object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
        let path = with_query(path, &[("fieldManager", "kubectl-replace")]);
        let request = Request::put(path).header(header::CONTENT_TYPE, "application/json");
        self.client.request(body(request, serialized(&object)?)?).await
    }

    /// POST to any path.
    pub(crate) async fn post_path(&self, path: &str, object: &Value) -> Result<Value, Error> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.client.request(body(request, serialized(object)?)?).await
    }

    /// JSON merge patch of an object or, with `subresource`, of a part of it.
    pub(crate) async fn merge_patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        patch: &Value,
    ) -> Result<Value, Error> {
        let mut path = resource.object(namespace, name);
        if !subresource.is_empty() {
            path = format!("{path}/{subresource}");
        }
        let request = Request::patch(path).header(header::CONTENT_TYPE, "application/merge-patch+json");
        self.client.request(body(request, serialized(patch)?)?).await
    }

    /// A patch of any kind: its media type and what it says.
    pub(crate) async fn patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        (media_type, patch): (&str, &Value),
        query: &[(&str, &str)],
    ) -> Result<Value, Error> {
        let mut path = resource.object(namespace, name);
        if !subresource.is_empty() {
            path = format!("{path}/{subresource}");
        }
        let request = Request::patch(with_query(path, query)).header(header::CONTENT_TYPE, media_type);
        self.client.request(body(request, serialized(patch)?)?).await
    }

    /// Deletes an object. `Ok(None)` when it was not there.
    pub(crate) async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        options: &Value,
    ) -> Result<Option<Value>, Error> {
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(resource.object(namespace, name))
            .header(header::CONTENT_TYPE, "application/json");
        match self.client.request(body(request, serialized(options)?)?).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn body(request: http::request::Builder, body: Vec<u8>) -> Result<Request<Vec<u8>>, Error> {
    request.body(body).map_err(Error::HttpError)
}

fn serialized(value: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(Error::SerdeError)
}

/// Appends query parameters that are not empty.
pub(crate) fn with_query(path: String, parameters: &[(&str, &str)]) -> String {
    let mut url = path;
    let mut separator = if url.contains('?') { '&' } else { '?' };
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(separator);
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
        separator = '&';
    }
    url
}
