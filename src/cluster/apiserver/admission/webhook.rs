//! Admission webhooks, really called: which ones match, in what order, and what their answers do.

mod address;
mod call;
mod matching;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Review;
use crate::apiserver::error::ApiError;
use crate::apiserver::operations::Operations;
use crate::apiserver::{kinds, object_meta, patch, schema};
use matching::Match;

pub(crate) use call::WebhookClients;
pub(crate) use matching::compile as compile_match_condition;

const MUTATING: &str = "admissionregistration.k8s.io/mutatingwebhookconfigurations";
const VALIDATING: &str = "admissionregistration.k8s.io/validatingwebhookconfigurations";

/// One webhook of one configuration.
pub(super) struct Webhook {
    configuration: Arc<Value>,
    index: usize,
}

impl Webhook {
    pub(super) fn value(&self) -> &Value {
        &self.configuration["webhooks"][self.index]
    }

    pub(super) fn name(&self) -> &str {
        self.value()["name"].as_str().unwrap_or("")
    }

    fn ignores_failure(&self) -> bool {
        self.value()["failurePolicy"] == "Ignore"
    }

    fn timeout(&self) -> Duration {
        let seconds = self.value()["timeoutSeconds"].as_u64().unwrap_or(10);
        Duration::from_secs(seconds.clamp(1, 30))
    }
}

/// What one webhook said.
struct Verdict {
    /// Version of the object that it is about.
    version: String,
    allowed: bool,
    patch: Option<Value>,
    denial: Value,
    warnings: Vec<String>,
}

impl Operations {
    /// Lets the mutating webhooks change the object; those that ask for it are called again after later ones changed it.
    pub(crate) async fn call_mutating_webhooks(
        &self,
        review: &Review<'_>,
        object: &mut Value,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let webhooks = self.webhooks_in(review, MUTATING);
        let mut changed_after: Vec<usize> = Vec::new();
        for (at, webhook) in webhooks.iter().enumerate() {
            if self.mutate(webhook, review, object, warnings).await? {
                changed_after.push(at);
            }
        }
        let last_change = changed_after.last().copied().unwrap_or(0);
        for (at, webhook) in webhooks.iter().enumerate() {
            if at < last_change && webhook.value()["reinvocationPolicy"] == "IfNeeded" {
                self.mutate(webhook, review, object, warnings).await?;
            }
        }
        Ok(())
    }

    /// Asks the validating webhooks, all at once.
    pub(crate) async fn call_validating_webhooks(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        static NOTHING: Value = Value::Null;
        let webhooks = self.webhooks_in(review, VALIDATING);
        let object = object.unwrap_or(&NOTHING);
        let calls = webhooks.iter().map(|webhook| self.ask(webhook, review, object));
        for (answer, webhook) in futures::future::join_all(calls).await.into_iter().zip(&webhooks) {
            if let Some(verdict) = answer? {
                refuse_denied(webhook, &verdict)?;
                warnings.extend(verdict.warnings);
            }
        }
        Ok(())
    }

    /// Webhooks of every configuration, by configuration name. Configurations themselves are never reviewed, so that a broken
    /// webhook can always be removed.
    fn webhooks_in(&self, review: &Review<'_>, table: &str) -> Vec<Webhook> {
        if matches!(kinds::kind_key(review.target), ("admissionregistration.k8s.io", _)) {
            return Vec::new();
        }
        let (configurations, _) = self.store.list(table, "");
        let all = configurations.into_iter().flat_map(|configuration| {
            let count = configuration["webhooks"].as_array().map_or(0, Vec::len);
            (0..count).map(move |index| Webhook { configuration: configuration.clone(), index })
        });
        all.collect()
    }

    /// Calls one mutating webhook; true when it changed the object.
    async fn mutate(
        &self,
        webhook: &Webhook,
        review: &Review<'_>,
        object: &mut Value,
        warnings: &mut Vec<String>,
    ) -> Result<bool, ApiError> {
        let Some(verdict) = self.ask(webhook, review, object).await? else { return Ok(false) };
        refuse_denied(webhook, &verdict)?;
        warnings.extend(verdict.warnings);
        let Some(operations) = verdict.patch else { return Ok(false) };
        let (before, definition) = (object.clone(), &review.target.definition);
        let mut seen = before.clone();
        kinds::convert(definition, &mut seen, &verdict.version);
        let mut patched = match patch::json_patched(seen, &operations) {
            Ok(patched) => patched,
            Err(_) if webhook.ignores_failure() => return Ok(false),
            Err(error) => {
                return Err(ApiError::internal(format!(
                    "failed to apply the patch of webhook {:?}: {error}",
                    webhook.name()
                )));
            }
        };
        kinds::convert(definition, &mut patched, &review.target.version);
        *object = patched;
        schema::check_fields(&review.target.version_definition().schema, object);
        kinds::apply_defaults(review.target, object);
        Ok(*object != before)
    }

    /// One webhook's verdict; `None` when it does not match, or failed and may.
    async fn ask(
        &self,
        webhook: &Webhook,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<Option<Verdict>, ApiError> {
        let Some(matched) = matching::matches(self, webhook.value(), review, object) else { return Ok(None) };
        if review.options.dry_run
            && !matches!(webhook.value()["sideEffects"].as_str(), Some("None" | "NoneOnDryRun"))
        {
            return Err(ApiError::bad_request(format!(
                "admission webhook {:?} does not support dry run",
                webhook.name()
            )));
        }
        let uid = object_meta::new_uid();
        let body = admission_review(webhook, review, object, &matched, &uid);
        match matching::conditions_hold(webhook.value(), &body["request"]) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(_) if webhook.ignores_failure() => return Ok(None),
            Err(reason) => {
                let resource = &review.target.definition.reference;
                return Err(ApiError::forbidden(resource, object_meta::called(object), &reason));
            }
        }
        let answer = self.webhooks.post(self, webhook, &body).await;
        match answer.and_then(|answer| read_verdict(&answer, &uid)) {
            Ok(verdict) => Ok(Some(Verdict { version: matched.version, ..verdict })),
            Err(reason) if webhook.ignores_failure() => {
                tracing::warn!(
                    webhook = webhook.name(),
                    reason,
                    "failed calling a webhook whose failures are ignored"
                );
                Ok(None)
            }
            Err(reason) => Err(ApiError::internal(format!(
                "failed calling webhook {:?}: failed to call webhook: {reason}",
                webhook.name()
            ))),
        }
    }
}

fn admission_review(
    webhook: &Webhook,
    review: &Review<'_>,
    object: &Value,
    matched: &Match,
    uid: &str,
) -> Value {
    let target = review.target;
    let reference = &target.definition.reference;
    let kind = |version: &str| json!({"group": reference.group, "version": version, "kind": reference.kind});
    let resource =
        |version: &str| json!({"group": reference.group, "version": version, "resource": reference.plural});
    let in_version = |object: &Value| {
        let mut object = object.clone();
        if object.is_object() {
            kinds::convert(&target.definition, &mut object, &matched.version);
        }
        object
    };
    let options = match review.operation {
        "CREATE" => {
            json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": review.options.manager_for(review.actor)})
        }
        "UPDATE" => {
            json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": review.options.manager_for(review.actor)})
        }
        _ => json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}),
    };
    let versions = webhook.value()["admissionReviewVersions"].as_array();
    let v1 = versions.is_none_or(|versions| versions.iter().any(|version| version == "v1"));
    let mut request = json!({
        "uid": uid, "kind": kind(&matched.version), "resource": resource(&matched.version), "requestKind": kind(&target.version),
        "requestResource": resource(&target.version), "name": target.name, "operation": review.operation,
        "userInfo": review.actor.user_info(), "object": in_version(object),
        "oldObject": review.old.map_or(Value::Null, in_version), "dryRun": review.options.dry_run, "options": options,
    });
    if !target.namespace.is_empty() {
        request["namespace"] = json!(target.namespace);
    }
    if !target.subresource.is_empty() {
        request["subResource"] = json!(target.subresource);
        request["requestSubResource"] = json!(target.subresource);
    }
    let version = if v1 { "admission.k8s.io/v1" } else { "admission.k8s.io/v1beta1" };
    json!({"kind": "AdmissionReview", "apiVersion": version, "request": request})
}

fn read_verdict(answer: &Value, uid: &str) -> Result<Verdict, String> {
    let response = &answer["response"];
    if !response.is_object() {
        return Err("the answer has no response".to_owned());
    }
    if response["uid"].as_str() != Some(uid) {
        return Err(format!("expected response.uid={uid:?}, got {}", response["uid"]));
    }
    let patch = match response["patch"].as_str() {
        Some(encoded) if !encoded.is_empty() => {
            let bytes =
                STANDARD.decode(encoded).map_err(|error| format!("the patch is not base64: {error}"))?;
            Some(serde_json::from_slice(&bytes).map_err(|error| format!("the patch is not JSON: {error}"))?)
        }
        _ => None,
    };
    let warnings = response["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str().map(str::to_owned));
    Ok(Verdict {
        version: String::new(),
        allowed: response["allowed"] == true,
        patch,
        denial: response["status"].clone(),
        warnings: warnings.collect(),
    })
}

fn refuse_denied(webhook: &Webhook, verdict: &Verdict) -> Result<(), ApiError> {
    if verdict.allowed {
        return Ok(());
    }
    let denied = format!("admission webhook {:?} denied the request", webhook.name());
    let said = [&verdict.denial["message"], &verdict.denial["reason"]]
        .into_iter()
        .find_map(|text| text.as_str().filter(|text| !text.is_empty()));
    let message =
        said.map_or_else(|| format!("{denied} without explanation"), |said| format!("{denied}: {said}"));
    let code = verdict.denial["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .unwrap_or(400);
    let reason = match verdict.denial["reason"].as_str().unwrap_or("") {
        "Forbidden" => "Forbidden",
        "Invalid" => "Invalid",
        "Conflict" => "Conflict",
        _ if code == 403 => "Forbidden",
        _ => "BadRequest",
    };
    Err(ApiError::new(code, reason, message))
}
