//! Subresources: status, scale, token, binding, eviction, log; exec, attach and portforward are in `stream`, proxy in `proxy`.

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use futures::StreamExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::object::write_options;
use super::{Api, Call, body, json_response};
use crate::api_client::PatchKind;
use crate::apiserver::error::ApiError;
use crate::apiserver::kinds::kind_key;
use crate::apiserver::operations::{Change, DeleteRequest, Operations, PatchBody, Target};
use crate::apiserver::registry::ScalePaths;
use crate::apiserver::{object_meta, patch};
use crate::pod_runtime::{LogOptions, PodRuntimeError};

impl Api {
    /// Requests for subresources.
    pub(super) async fn subresource(
        &self,
        call: Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let version = call.target.version_definition();
        match (kind_key(&call.target), call.target.subresource.as_str(), call.method.as_str()) {
            (_, "status", "GET" | "HEAD") if version.status => {
                let object = self.operations.read(&call.target)?;
                Ok(self.shown(&call, StatusCode::OK, &object, &[]))
            }
            (_, "status", "PUT" | "PATCH") if version.status => self.change(&call, request).await,
            (("", "namespaces"), "finalize", "PUT" | "PATCH") => self.change(&call, request).await,
            (_, "scale", _) => match version.scale.clone() {
                Some(paths) => self.scale(&call, &paths, request).await,
                None => Err(ApiError::no_such_path()),
            },
            (("", "serviceaccounts"), "token", "POST") => self.token(&call, request).await,
            (("", "pods"), "ephemeralcontainers", "GET" | "HEAD") => {
                let object = self.operations.read(&Self::pod_of(&call))?;
                Ok(self.shown(&call, StatusCode::OK, &object, &[]))
            }
            (("", "pods"), "ephemeralcontainers", "PUT" | "PATCH") => self.change(&call, request).await,
            (("", "pods"), "binding", "POST") => self.binding(&call, request).await,
            (("", "pods"), "eviction", "POST") => self.eviction(&call, request).await,
            (("", "pods"), "log", "GET") => self.log(&call).await,
            (("", "pods"), "exec" | "attach", "GET" | "POST") => self.exec(&call, request).await,
            (("", "pods" | "services"), "proxy", _) => self.proxy(&call, request).await,
            (("", "pods"), "portforward", "GET" | "POST") => self.port_forward(&call, request).await,
            (
                _,
                "status" | "finalize" | "token" | "binding" | "eviction" | "log" | "exec" | "attach"
                | "portforward",
                _,
            ) => Err(ApiError::method_not_allowed()),
            _ => Err(ApiError::no_such_path()),
        }
    }

    async fn token(&self, call: &Call, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let content_type = body::content_type(request.headers());
        let wanted = body::decode(&content_type, &body::read(request).await?)?;
        let wanted = if wanted.is_object() { wanted } else { json!({}) };
        let answer = self.operations.token_request(&call.actor, &call.target, wanted)?;
        Ok(json_response(StatusCode::CREATED, &answer))
    }

    /// Scheduling by somebody else: sets `spec.nodeName`.
    async fn binding(&self, call: &Call, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let content_type = body::content_type(request.headers());
        let binding = body::decode(&content_type, &body::read(request).await?)?;
        let node = binding["target"]["name"].as_str().unwrap_or("").to_owned();
        let pod = self.operations.read(&call.target)?;
        if pod["spec"]["nodeName"].is_string() {
            let why =
                format!("pod {} is already assigned to node {}", call.target.name, pod["spec"]["nodeName"]);
            return Err(ApiError::conflict(&call.target.definition.reference, &call.target.name, &why));
        }
        let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": object_meta::now()});
        let mut target = call.target.clone();
        target.subresource = String::new();
        self.operations
            .rewrite(&target, |pod| {
                pod["spec"]["nodeName"] = json!(node);
                let kept = pod["status"]["conditions"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|one| one["type"] != "PodScheduled")
                    .cloned();
                pod["status"]["conditions"] = kept.chain([scheduled.clone()]).collect();
            })
            .await?;
        Ok(json_response(StatusCode::CREATED, &success()))
    }

    /// Graceful removal, unless a disruption budget still needs the pod.
    async fn eviction(&self, call: &Call, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let content_type = body::content_type(request.headers());
        let eviction = body::decode(&content_type, &body::read(request).await?)?;
        let mut target = call.target.clone();
        target.subresource = String::new();
        self.operations.check_eviction(&*self.operations.read(&target)?)?;
        let options = DeleteRequest {
            grace_period_seconds: eviction["deleteOptions"]["gracePeriodSeconds"].as_i64(),
            ..DeleteRequest::default()
        };
        self.operations.delete(&call.actor, &target, &options).await?;
        Ok(json_response(StatusCode::CREATED, &success()))
    }

    /// `autoscaling/v1` `Scale`.
    async fn scale(
        &self,
        call: &Call,
        paths: &ScalePaths,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let mut target = call.target.clone();
        target.subresource = String::new();
        let current = self.operations.read(&target)?;
        let shown = scale_of(&current, paths);
        let options = write_options(&call.query)?;
        let wanted = match call.method.as_str() {
            "GET" | "HEAD" => return Ok(json_response(StatusCode::OK, &shown)),
            "PUT" => body::decode("application/json", &body::read(request).await?)?,
            "PATCH" => {
                let content_type = body::content_type(request.headers());
                let change = body::decode(&content_type, &body::read(request).await?)?;
                match content_type.as_str() {
                    "application/json-patch+json" => patch::json_patched(shown, &change)?,
                    _ => patch::merged(shown, &change),
                }
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
        let mut patch = json!({});
        Operations::set_path(&mut patch, &paths.spec_replicas, json!(replicas));
        if let Some(revision) =
            wanted["metadata"]["resourceVersion"].as_str().filter(|_| call.method == "PUT")
        {
            patch["metadata"]["resourceVersion"] = json!(revision);
        }
        let change = Change::Patch(PatchBody { kind: PatchKind::Merge, patch });
        let outcome = self.operations.modify(&call.actor, &target, &change, &options).await?;
        Ok(json_response(StatusCode::OK, &scale_of(&outcome.object, paths)))
    }

    fn pod_of(call: &Call) -> Target {
        let mut target = call.target.clone();
        target.subresource = String::new();
        target
    }

    async fn log(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        let runtime =
            self.pod_runtime.get().ok_or_else(|| ApiError::internal("the node agent has not started"))?;
        let container = self.container(call)?;
        // A pod that waits for a node has nothing to say, which is no error.
        let pod = self.operations.read(&Self::pod_of(call))?;
        if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        let query = &call.query;
        let unsigned = |name: &str| query.number(name).and_then(|number| u64::try_from(number).ok());
        let now = jiff::Timestamp::now();
        let since =
            match (query.number("sinceSeconds"), query.get("sinceTime").parse::<jiff::Timestamp>().ok()) {
                (Some(seconds), _) => Some(now.as_millisecond() - seconds.saturating_mul(1000)),
                (None, time) => time.map(|time| time.as_millisecond()),
            };
        let options = LogOptions {
            follow: query.flag("follow"),
            tail_lines: unsigned("tailLines"),
            since_unix_milliseconds: since,
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            limit_bytes: unsigned("limitBytes"),
        };
        let logs = runtime
            .logs(&call.target.namespace, &call.target.name, &container, options)
            .await
            .map_err(runtime_error)?;
        let logs = logs.take_until(call.stop.clone().cancelled_owned());
        let mut response = Response::new(Body::from_stream(logs));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok(response)
    }

    /// The container that a request into a pod means: the named one, the default one, or the only one.
    pub(super) fn container(&self, call: &Call) -> Result<String, ApiError> {
        let pod = self
            .operations
            .find("", "pods", &call.target.namespace, &call.target.name)
            .ok_or_else(|| call.target.not_found())?;
        let named = call.query.get("container");
        let names = |field: &str| -> Vec<String> {
            pod["spec"][field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one["name"].as_str().map(str::to_owned))
                .collect()
        };
        let (main, init) = (names("containers"), names("initContainers"));
        if !named.is_empty() {
            let ephemeral = names("ephemeralContainers");
            if main.iter().chain(&init).chain(&ephemeral).any(|name| name == named) {
                return Ok(named.to_owned());
            }
            return Err(ApiError::bad_request(format!(
                "container {named} is not valid for pod {}",
                call.target.name
            )));
        }
        let default = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
        match (default, main.as_slice()) {
            (Some(name), _) => Ok(name.to_owned()),
            (None, [only]) => Ok(only.clone()),
            _ if call.target.subresource == "log" => Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {}, choose one of: [{}]{}",
                call.target.name,
                main.join(" "),
                if init.is_empty() {
                    String::new()
                } else {
                    format!(" or one of the init containers: [{}]", init.join(" "))
                }
            ))),
            _ => main.first().cloned().ok_or_else(|| ApiError::bad_request("the pod has no containers")),
        }
    }
}

/// Errors of the node agent as answers.
pub(super) fn runtime_error(error: PodRuntimeError) -> ApiError {
    match error {
        PodRuntimeError::NotFound(message) => ApiError::new(404, "NotFound", message),
        PodRuntimeError::BadState(message) => ApiError::bad_request(message),
        PodRuntimeError::Internal(message) => ApiError::internal(message),
    }
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

fn at_path<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, part| &value[part])
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let metadata = &object["metadata"];
    // Zero is what an absent number means.
    let replicas = at_path(object, &paths.spec_replicas).as_i64().unwrap_or(0);
    let spec = if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) };
    let selector =
        paths.selector.as_deref().map(|path| selector_text(at_path(object, path))).unwrap_or_default();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": spec,
        "status": {"replicas": at_path(object, &paths.status_replicas).as_i64().unwrap_or(0), "selector": selector},
    })
}

/// A selector object as `app=web,tier in (a,b)`.
pub(super) fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = if selector["matchLabels"].is_object() || selector["matchExpressions"].is_array() {
        &selector["matchLabels"]
    } else {
        selector
    };
    let mut parts: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or("");
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}
