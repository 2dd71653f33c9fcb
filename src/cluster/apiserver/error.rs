//! The one error of the API: a Kubernetes `Status` of kind Failure, with Kubernetes' reasons, codes and message texts.

use serde_json::{Map, Value, json};

use crate::api_client::ResourceRef;

/// One reason among several why an object was refused (`details.causes` of a `Status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable: `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict`, …
    pub reason: String,
    /// What is wrong, without the field.
    pub message: String,
    /// Path of the field: `spec.ports[0].port`.
    pub field: String,
}

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Gone`, `Expired`, …
    pub reason: &'static str,
    /// The message kubectl prints.
    pub message: String,
    /// Group, kind or plural, and name of what the request was about.
    pub details: Box<ErrorDetails>,
}

/// The `details` of a failed request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorDetails {
    /// API group.
    pub group: String,
    /// Kind (for `Invalid`) or plural (all other reasons), as Kubernetes does.
    pub kind: String,
    /// Object name.
    pub name: String,
    /// Field by field.
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense.
    pub retry_after_seconds: Option<u32>,
}

impl ApiError {
    /// An error with no details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default() }
    }

    fn about(code: u16, reason: &'static str, message: String, resource: &ResourceRef, name: &str) -> Self {
        let mut error = Self::new(code, reason, message);
        error.details.group = resource.group.to_string();
        error.details.kind = resource.plural.to_string();
        error.details.name = name.to_owned();
        error
    }

    /// 404: the object does not exist.
    pub fn not_found(resource: &ResourceRef, name: &str) -> Self {
        Self::about(
            404,
            "NotFound",
            format!("{} {name:?} not found", resource.qualified_plural()),
            resource,
            name,
        )
    }

    /// 404: no such path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409: an object of that name exists.
    pub fn already_exists(resource: &ResourceRef, name: &str) -> Self {
        Self::about(
            409,
            "AlreadyExists",
            format!("{} {name:?} already exists", resource.qualified_plural()),
            resource,
            name,
        )
    }

    /// 409: the object changed, or a precondition does not hold.
    pub fn conflict(resource: &ResourceRef, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified_plural());
        Self::about(409, "Conflict", message, resource, name)
    }

    /// 409: the object was modified since the caller read it.
    pub fn modified(resource: &ResourceRef, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 403 with Kubernetes' wording for refused content.
    pub fn forbidden(resource: &ResourceRef, name: &str, why: &str) -> Self {
        let shown = resource.qualified_plural();
        let message = if name.is_empty() {
            format!("{shown} is forbidden: {why}")
        } else {
            format!("{shown} {name:?} is forbidden: {why}")
        };
        Self::about(403, "Forbidden", message, resource, name)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 410: the revision of a watch or a continue token is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("limit is {limit}"))
    }

    /// 415 with the media types that are accepted.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 422 with one cause per wrong field.
    pub fn invalid(resource: &ResourceRef, name: &str, causes: Vec<Cause>) -> Self {
        let listed: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let text = if listed.len() == 1 { listed.concat() } else { format!("[{}]", listed.join(", ")) };
        let kind = if resource.group.is_empty() {
            resource.kind.to_string()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut error =
            Self::about(422, "Invalid", format!("{kind} {name:?} is invalid: {text}"), resource, name);
        error.details.kind = resource.kind.to_string();
        error.details.causes = causes;
        error
    }

    /// 422 about the parameters of a request: `kind` is `ListOptions`, `PatchOptions`, …
    pub fn invalid_options(kind: &str, cause: Cause) -> Self {
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {}: {}", cause.field, cause.message);
        let mut error = Self::new(422, "Invalid", message);
        error.details.group = "meta.k8s.io".to_owned();
        error.details.kind = kind.to_owned();
        error.details.causes = vec![cause];
        error
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether an object of that name existed already.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether the object changed in between; read it again and retry.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether the revision asked for is no longer kept; list again.
    pub fn is_gone(&self) -> bool {
        self.code == 410
    }

    /// The `Status` object that goes over the wire.
    pub fn to_status(&self) -> Value {
        let mut details = Map::new();
        let known = &self.details;
        for (field, text) in [("name", &known.name), ("group", &known.group), ("kind", &known.kind)] {
            if !text.is_empty() {
                details.insert(field.to_owned(), json!(text));
            }
        }
        if !known.causes.is_empty() {
            let cause = |cause: &Cause| {
                let mut shown = json!({"reason": cause.reason, "message": cause.message});
                if !cause.field.is_empty() {
                    shown["field"] = json!(cause.field);
                }
                shown
            };
            details.insert("causes".to_owned(), known.causes.iter().map(cause).collect());
        }
        if let Some(seconds) = known.retry_after_seconds {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if self.reason.is_empty()
            && let Some(status) = status.as_object_mut()
        {
            status.remove("reason");
        }
        // Clients look into the details of what was not found without asking whether there are any.
        if !details.is_empty() || self.reason == "NotFound" {
            status["details"] = Value::Object(details);
        }
        status
    }
}

impl Cause {
    /// `FieldValueRequired`.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired".to_owned(), message, field: field.into() }
    }

    /// `FieldValueInvalid` with the value shown as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        Self { reason: "FieldValueInvalid".to_owned(), message, field: field.into() }
    }

    /// `FieldValueNotSupported` with the values that are.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let listed: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {}: supported values: {}", shown(value), listed.join(", "));
        Self { reason: "FieldValueNotSupported".to_owned(), message, field: field.into() }
    }

    /// `FieldValueDuplicate`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate".to_owned(),
            message: format!("Duplicate value: {}", shown(value)),
            field: field.into(),
        }
    }

    /// `FieldValueForbidden`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden".to_owned(),
            message: format!("Forbidden: {detail}"),
            field: field.into(),
        }
    }

    /// `FieldValueTypeInvalid`.
    pub fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        Self { reason: "FieldValueTypeInvalid".to_owned(), message, field: field.into() }
    }
}

/// A value as messages show it, shortened so that a huge object cannot fill a message.
fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 256 {
        let end = (0..=250).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
