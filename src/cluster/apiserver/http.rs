//! HTTP: which path and method means which operation, and how requests and answers look on the wire.

mod body;
mod discovery;
mod list;
mod object;
mod openapi;
mod path;
mod printers;
mod protobuf;
mod proxy;
mod review;
mod stream;
mod subresource;
mod table;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::authentication::authenticate;
use super::authorization::Attributes;
use super::error::ApiError;
use super::operations::{Operations, Target};
use super::tokens::TokenKeys;
use crate::pod_runtime::PodRuntimeHandle;
use body::Accept;
use path::{Query, ResourcePath, Route};

/// The version this server says it is.
pub(crate) const GIT_VERSION: &str = concat!("v1.34.1+sagene-", env!("CARGO_PKG_VERSION"));

/// What answers requests.
pub(crate) struct Api {
    pub(crate) operations: Arc<Operations>,
    pub(crate) pod_runtime: PodRuntimeHandle,
}

/// One authenticated and authorized request for a resource.
pub(crate) struct Call {
    pub(crate) actor: Actor,
    pub(crate) target: Target,
    pub(crate) query: Query,
    pub(crate) accept: Accept,
    pub(crate) method: Method,
    pub(crate) stop: CancellationToken,
}

impl Api {
    /// Answers one request; errors become `Status` answers.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        certificate: Option<&Actor>,
        stop: CancellationToken,
    ) -> Response<Body> {
        let result = self.route(request, certificate, stop).await;
        let mut response = result.unwrap_or_else(|error| error_response(&error));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        certificate: Option<&Actor>,
        stop: CancellationToken,
    ) -> Result<Response<Body>, ApiError> {
        let actor = authenticate(&self.operations, certificate, request.headers())?;
        let query = Query::parse(request.uri().query().unwrap_or(""));
        let accept = Accept::of(request.headers())?;
        let route = path::parse(request.uri().path());
        let Route::Resource(path) = route else {
            let attributes = Attributes {
                verb: request.method().as_str().to_lowercase(),
                path: request.uri().path().to_owned(),
                ..Attributes::default()
            };
            self.operations.authorize(&actor, &attributes)?;
            if request.method() != Method::GET && request.method() != Method::HEAD {
                return Err(ApiError::method_not_allowed());
            }
            return self.answer_fixed(&route, &accept);
        };
        let target = self.target(&path)?;
        let attributes = attributes(&target, request.method(), &path, &query);
        self.operations.authorize(&actor, &attributes)?;
        let call = Call { actor, target, query, accept, method: request.method().clone(), stop };
        if call.target.definition.create_only {
            return self.review(&call, request).await;
        }
        if call.target.definition.measured {
            return self.measured(&call);
        }
        match call.target.subresource.as_str() {
            "" => self.object(call, path.watch, request).await,
            _ => self.subresource(call, request).await,
        }
    }

    fn target(&self, path: &ResourcePath) -> Result<Target, ApiError> {
        let resources = self.operations.registry.current();
        let definition = resources.get(&path.group, &path.resource).ok_or_else(ApiError::no_such_path)?;
        if definition.version(&path.version).is_none() {
            return Err(ApiError::no_such_path());
        }
        let reference = &definition.reference;
        if reference.namespaced && path.namespace.is_empty() && !path.name.is_empty()
            || (!reference.namespaced && !path.namespace.is_empty())
        {
            return Err(ApiError::no_such_path());
        }
        Ok(Target {
            definition: definition.clone(),
            version: path.version.clone(),
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            subresource: path.subresource.clone(),
        })
    }

    fn answer_fixed(&self, route: &Route, accept: &Accept) -> Result<Response<Body>, ApiError> {
        let resources = self.operations.registry.current();
        let document = match route {
            Route::CoreVersions if accept.aggregated_discovery => {
                return Ok(discovery::aggregated(&resources, true));
            }
            Route::CoreVersions => discovery::core_versions(),
            Route::Groups if accept.aggregated_discovery => {
                return Ok(discovery::aggregated(&resources, false));
            }
            Route::Groups => discovery::groups(&resources),
            Route::Group(group) => discovery::group(&resources, group).ok_or_else(ApiError::no_such_path)?,
            Route::Version(group, version) => {
                discovery::resources(&resources, group, version).ok_or_else(ApiError::no_such_path)?
            }
            Route::OpenApiIndex => openapi::index(&resources),
            Route::OpenApi(group, version) => {
                openapi::document(&resources, group, version).ok_or_else(ApiError::no_such_path)?
            }
            Route::OpenApiV2 => openapi::version_2(&resources),
            Route::ServerVersion => version(),
            Route::Health => return Ok(text_response("ok")),
            Route::Keys => self.operations.tokens.jwks(),
            Route::Issuer => TokenKeys::configuration(),
            Route::Root => {
                json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]})
            }
            Route::Resource(_) | Route::Unknown => return Err(ApiError::no_such_path()),
        };
        Ok(json_response(StatusCode::OK, &document))
    }
}

/// What RBAC is asked.
fn attributes(target: &Target, method: &Method, path: &ResourcePath, query: &Query) -> Attributes {
    let watch = path.watch || query.flag("watch");
    let verb = match (method.as_str(), target.name.is_empty()) {
        ("GET" | "HEAD", true) if watch => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false)
            if matches!(target.subresource.as_str(), "exec" | "attach" | "portforward") =>
        {
            "create"
        }
        ("GET" | "HEAD", false) if watch && target.subresource.is_empty() => "watch",
        ("GET" | "HEAD", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => "",
    };
    Attributes {
        verb: verb.to_owned(),
        group: target.definition.reference.group.to_string(),
        resource: target.definition.reference.plural.to_string(),
        subresource: target.subresource.clone(),
        name: target.name.clone(),
        namespace: target.namespace.clone(),
        path: String::new(),
    }
}

/// `/version`.
fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
        "emulationMajor": "1", "emulationMinor": "34", "minCompatibilityMajor": "1", "minCompatibilityMinor": "33",
    })
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, document: &Value) -> Response<Body> {
    bytes_response(status, "application/json", serde_json::to_vec(document).unwrap_or_default())
}

fn bytes_response(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn text_response(text: &'static str) -> Response<Body> {
    bytes_response(StatusCode::OK, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn error_response(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, &error.to_status());
    if let Some(seconds) = error.details.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds `Warning: 299 - "text"` headers.
fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings.iter().take(32) {
        let text: String = warning.chars().filter(|c| !c.is_control()).take(1024).collect();
        let quoted = format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
