//! The admission webhooks on 15017: `/inject` gives pods their sidecar, `/validate` refuses configuration that cannot work.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::Engine as _;
use sagene_manifest::inject::{Decision, InjectConfig, PodRequest, WebhookParameters, inject};
use sagene_store::Store;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{metrics::Metrics, options::ControlPlaneOptions};

mod validate;

/// Largest accepted review, as istiod has it.
const MAX_REVIEW: usize = 6 << 20;

/// What the webhooks need.
pub(crate) struct Webhooks {
    pub(crate) store: Store,
    pub(crate) options: Arc<ControlPlaneOptions>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The router of 15017.
pub(crate) fn router(webhooks: Arc<Webhooks>) -> Router {
    Router::new()
        .route("/inject", post(inject_pod))
        .route("/inject/{*parameters}", post(inject_pod))
        .route("/validate", post(validate_object))
        .layer(DefaultBodyLimit::max(MAX_REVIEW))
        .with_state(webhooks)
}

/// The parts of an `AdmissionReview` that are looked at.
struct Review {
    request: Value,
}

impl Review {
    fn read(body: &[u8]) -> Result<Self, Box<Response>> {
        let mut review: Value = serde_json::from_slice(body)
            .map_err(|error| wrong(format!("the body is no AdmissionReview: {error}")))?;
        match review.get_mut("request").map(Value::take) {
            Some(request) if request.is_object() => Ok(Self { request }),
            _ => Err(wrong("the AdmissionReview has no request".to_owned())),
        }
    }

    fn text(&self, key: &str) -> &str {
        self.request.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn answer(&self, mut response: Value) -> Response {
        response["uid"] = json!(self.text("uid"));
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        Json(review).into_response()
    }

    fn refuse(&self, message: &str) -> Response {
        self.answer(json!({"allowed": false, "status": {"message": message, "code": 400}}))
    }
}

fn wrong(message: String) -> Box<Response> {
    Box::new((StatusCode::BAD_REQUEST, message).into_response())
}

async fn inject_pod(State(webhooks): State<Arc<Webhooks>>, uri: Uri, body: Bytes) -> Response {
    let started = Instant::now();
    webhooks.metrics.count("sidecar_injection_requests_total", "");
    let review = match Review::read(&body) {
        Ok(review) => review,
        Err(response) => {
            webhooks.metrics.count("sidecar_injection_failure_total", "");
            return *response;
        }
    };
    let response = webhooks.inject(&review, uri.path());
    webhooks.metrics.observe("sidecar_injection_time_seconds", "", started.elapsed());
    response
}

impl Webhooks {
    fn inject(&self, review: &Review, path: &str) -> Response {
        let pod = review.request.get("object").unwrap_or(&Value::Null);
        let namespace = review.text("namespace");
        let parameters = WebhookParameters::parse(path);
        let config = match self.inject_config() {
            Ok(config) => config,
            Err(message) => return self.failed(review, namespace, &message),
        };
        match inject(&PodRequest { pod, namespace, parameters: &parameters }, &config) {
            Ok(Decision::Skip(reason)) => {
                self.metrics.count("sidecar_injection_skip_total", "");
                info!(namespace, ?reason, "pod left as it is");
                review.answer(json!({"allowed": true}))
            }
            Ok(Decision::Patch(operations)) => {
                self.metrics.count("sidecar_injection_success_total", "");
                // Operations are plain data, which always has a JSON form.
                let patch = serde_json::to_vec(&operations).unwrap_or_default();
                let patch = base64::engine::general_purpose::STANDARD.encode(patch);
                review.answer(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
            }
            Err(error) => self.failed(review, namespace, &error.to_string()),
        }
    }

    fn failed(&self, review: &Review, namespace: &str, message: &str) -> Response {
        self.metrics.count("sidecar_injection_failure_total", "");
        warn!(namespace, message, "pod cannot be injected");
        review.refuse(message)
    }

    /// Read anew for each pod: ConfigMaps and ProxyConfigs are in the store, and a pod must get what is in force.
    fn inject_config(&self) -> Result<InjectConfig, String> {
        let snapshot = self.store.snapshot();
        let suffix = self.options.revision_suffix();
        let namespace = &self.options.namespace;
        let key = |map: &str, key: &str| {
            let map = snapshot.config_maps.get(namespace, map)?;
            map.spec.data.get(key).cloned()
        };
        let injector = format!("istio-sidecar-injector{suffix}");
        let missing =
            |key: &str| format!("ConfigMap {namespace}/{injector} has no key {key}; install it again");
        let config = key(&injector, "config").ok_or_else(|| missing("config"))?;
        let values = key(&injector, "values").ok_or_else(|| missing("values"))?;
        let mesh = key(&format!("istio{suffix}"), "mesh").unwrap_or_default();
        let mut config = InjectConfig::from_config_maps(&config, &values, &mesh, &self.options.revision)
            .map_err(|error| sagene_base::task::error_chain(&error))?;
        config.proxy_configs = snapshot.proxy_configs.iter().cloned().collect();
        Ok(config)
    }
}

async fn validate_object(State(webhooks): State<Arc<Webhooks>>, body: Bytes) -> Response {
    let review = match Review::read(&body) {
        Ok(review) => review,
        Err(response) => {
            webhooks.metrics.count("galley_validation_http_error", "");
            return *response;
        }
    };
    let labels = validation_labels(&review);
    match validate::check(&review.request) {
        Ok(warnings) => {
            webhooks.metrics.count("galley_validation_passed", &labels);
            if warnings.is_empty() {
                return review.answer(json!({"allowed": true}));
            }
            review.answer(json!({"allowed": true, "warnings": warnings}))
        }
        Err(message) => {
            webhooks
                .metrics
                .count("galley_validation_failed", &format!("{labels},reason=\"invalid_resource\""));
            info!(
                namespace = review.text("namespace"),
                name = review.text("name"),
                message,
                "object refused"
            );
            review.refuse(&message)
        }
    }
}

fn validation_labels(review: &Review) -> String {
    let of = |key: &str| {
        let text = review.request.pointer(&format!("/resource/{key}")).and_then(Value::as_str);
        crate::metrics::escape(text.unwrap_or_default())
    };
    format!("group=\"{}\",version=\"{}\",resource=\"{}\"", of("group"), of("version"), of("resource"))
}

#[cfg(test)]
mod tests;
