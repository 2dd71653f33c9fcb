//! Create, get, update, patch and delete over HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::{self, Form};
use super::path::Query;
use super::{Api, Call, json_response, table, with_warnings};
use crate::api_client::{PatchKind, Propagation};
use crate::apiserver::error::{ApiError, Cause};
use crate::apiserver::kinds;
use crate::apiserver::operations::{
    Change, DeleteRequest, FieldValidation, Outcome, PatchBody, WriteOptions,
};

/// Said of NetworkPolicies, which are kept as on a Kubernetes whose network has no way to enforce them.
const NOT_ENFORCED: &str = "the embedded cluster does not enforce NetworkPolicies: this one blocks nothing";

impl Api {
    /// Requests for objects and collections.
    pub(super) async fn object(
        &self,
        call: Call,
        watch: bool,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let collection = call.target.name.is_empty();
        match (call.method.as_str(), collection) {
            ("GET" | "HEAD", _) if watch || (collection && call.query.flag("watch")) => {
                self.watch(call).await
            }
            ("GET" | "HEAD", true) => self.list(&call),
            ("GET" | "HEAD", false) => {
                let object = self.operations.read(&call.target)?;
                Ok(self.shown(&call, StatusCode::OK, &object, &[]))
            }
            ("POST", true) => self.post(&call, request).await,
            ("PUT" | "PATCH", false) => self.change(&call, request).await,
            ("DELETE", false) => self.delete(&call, request).await,
            ("DELETE", true) => self.delete_collection(&call, request).await,
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// Requests for what is measured: it is read, and nothing else.
    pub(super) fn measured(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        if !call.target.subresource.is_empty() {
            return Err(ApiError::no_such_path());
        }
        if !matches!(call.method.as_str(), "GET" | "HEAD") || call.query.flag("watch") {
            return Err(ApiError::method_not_allowed());
        }
        if call.target.name.is_empty() {
            return self.list(call);
        }
        let object = self.operations.read(&call.target)?;
        Ok(self.shown(call, StatusCode::OK, &object, &[]))
    }

    /// An object in the version and form the client wants.
    pub(super) fn shown(
        &self,
        call: &Call,
        status: StatusCode,
        object: &Arc<Value>,
        warnings: &[String],
    ) -> Response<Body> {
        let object = kinds::in_version(&call.target, object);
        let document = match call.accept.form {
            Form::Object => return with_warnings(json_response(status, &object), warnings),
            Form::Table => table::table(
                &call.target,
                std::slice::from_ref(&object),
                &table::IncludeObject::of(&call.query),
                json!({}),
            ),
            Form::PartialMetadata => table::partial_metadata(&object),
        };
        with_warnings(json_response(status, &document), warnings)
    }

    async fn post(&self, call: &Call, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let options = write_options(&call.query)?;
        let content_type = body::content_type(request.headers());
        let object = body::decode(&content_type, &body::read(request).await?)?;
        let outcome = self.operations.create(&call.actor, &call.target, object, &options).await?;
        Ok(self.answer_outcome(call, outcome))
    }

    pub(super) fn answer_outcome(&self, call: &Call, mut outcome: Outcome) -> Response<Body> {
        let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
        outcome.warnings.extend(call.target.version_definition().deprecation_warning.clone());
        if call.target.definition.reference.kind == "NetworkPolicy" {
            outcome.warnings.push(NOT_ENFORCED.to_owned());
        }
        self.shown(call, status, &outcome.object, &outcome.warnings)
    }

    /// PUT and PATCH of the object or its status.
    pub(super) async fn change(
        &self,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let mut options = write_options(&call.query)?;
        let content_type = body::content_type(request.headers());
        let apply = content_type == "application/apply-patch+yaml";
        if apply && options.manager.is_empty() {
            return Err(ApiError::invalid_options(
                "PatchOptions",
                Cause::required("fieldManager", "is required for apply patch"),
            ));
        }
        options.force &= apply;
        let change = read_change(&call.method, &content_type, &body::read(request).await?)?;
        let outcome = self.operations.modify(&call.actor, &call.target, &change, &options).await?;
        Ok(self.answer_outcome(call, outcome))
    }

    async fn delete(&self, call: &Call, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let options = delete_request(call, request).await?;
        let outcome = self.operations.delete(&call.actor, &call.target, &options).await?;
        let reference = &call.target.definition.reference;
        let still_there = self.operations.read(&call.target).is_ok();
        if still_there || matches!(&*reference.plural, "pods" | "namespaces") {
            return Ok(self.shown(call, StatusCode::OK, &outcome.object, &outcome.warnings));
        }
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": {
            "name": call.target.name, "group": reference.group, "kind": reference.plural, "uid": outcome.object["metadata"]["uid"]}});
        Ok(with_warnings(json_response(StatusCode::OK, &status), &outcome.warnings))
    }

    async fn delete_collection(
        &self,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let filter = self.operations.filter(
            &call.target,
            call.query.get("labelSelector"),
            call.query.get("fieldSelector"),
        )?;
        let options = delete_request(call, request).await?;
        let deleted = self.operations.delete_collection(&call.actor, &call.target, &filter, &options).await?;
        let revision = self.operations.store.revision();
        Ok(self.shown_list(call, &deleted, json!({"resourceVersion": revision.to_string()})))
    }
}

/// `dryRun`, `fieldManager`, `fieldValidation`, `force`.
pub(super) fn write_options(query: &Query) -> Result<WriteOptions, ApiError> {
    let dry_run = match query.get("dryRun") {
        "" => false,
        "All" => true,
        other => {
            return Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            )));
        }
    };
    let field_validation = match query.get("fieldValidation") {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let message = format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            );
            return Err(ApiError::bad_request(message));
        }
    };
    Ok(WriteOptions {
        dry_run,
        manager: query.get("fieldManager").to_owned(),
        force: query.flag("force"),
        field_validation,
    })
}

fn read_change(method: &Method, content_type: &str, bytes: &[u8]) -> Result<Change, ApiError> {
    let value = body::decode(content_type, bytes)?;
    if method == Method::PUT {
        return Ok(Change::Replace(value));
    }
    let kind = match content_type {
        "application/apply-patch+yaml" => return Ok(Change::Apply(value)),
        "application/json-patch+json" => PatchKind::Json,
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" => PatchKind::StrategicMerge,
        _ => {
            return Err(ApiError::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            ));
        }
    };
    Ok(Change::Patch(PatchBody { kind, patch: value }))
}

/// `DeleteOptions` from the body, or from the query where the body has none.
async fn delete_request(call: &Call, request: Request<Incoming>) -> Result<DeleteRequest, ApiError> {
    let content_type = body::content_type(request.headers());
    let options = body::decode(&content_type, &body::read(request).await?)?;
    let policy = options["propagationPolicy"].as_str().unwrap_or_else(|| call.query.get("propagationPolicy"));
    let propagation = match policy {
        "" => options["orphanDependents"]
            .as_bool()
            .map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        "Background" => Some(Propagation::Background),
        "Foreground" => Some(Propagation::Foreground),
        "Orphan" => Some(Propagation::Orphan),
        other => {
            let message = format!(
                "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            return Err(ApiError::bad_request(message));
        }
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dry_run = options["dryRun"].as_array().is_some_and(|list| !list.is_empty())
        || call.query.get("dryRun") == "All";
    Ok(DeleteRequest {
        grace_period_seconds: options["gracePeriodSeconds"]
            .as_i64()
            .or(call.query.number("gracePeriodSeconds")),
        precondition_uid: text(&options["preconditions"]["uid"]),
        precondition_resource_version: text(&options["preconditions"]["resourceVersion"]),
        propagation,
        dry_run,
    })
}

/// Whether the client asks to switch protocols.
pub(super) fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.get("upgrade").is_some()
}
