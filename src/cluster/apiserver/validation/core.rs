//! Config maps, secrets, RBAC objects and webhook configurations.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::apiserver::admission::compile_match_condition;
use crate::apiserver::error::Cause;

/// Most bytes of data of a config map or secret.
const DATA_LIMIT: usize = 1 << 20;

pub(super) fn validate_data(object: &Value, causes: &mut Vec<Cause>) {
    let secret = object["kind"] == "Secret";
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or("");
            size += text.len();
            if !is_data_key(key) {
                let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  \
                     or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
                causes.push(Cause::invalid(format!("{field}[{key}]"), &json!(key), detail));
            }
            if (secret || field == "binaryData") && STANDARD.decode(text).is_err() {
                causes.push(Cause::invalid(
                    format!("{field}[{key}]"),
                    &json!("<secret contents redacted>"),
                    "must be base64",
                ));
            }
        }
    }
    if size > DATA_LIMIT {
        let message = format!("Too long: may not be more than {DATA_LIMIT} bytes");
        causes.push(Cause {
            reason: "FieldValueTooLong".to_owned(),
            message,
            field: if secret { "data" } else { "" }.to_owned(),
        });
    }
    if secret {
        validate_secret_type(object, causes);
    }
}

fn validate_secret_type(object: &Value, causes: &mut Vec<Cause>) {
    let needs: &[&str] = match object["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        _ => &[],
    };
    for key in needs {
        if object["data"].get(key).is_none() {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    }
}

fn is_data_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= 253 && key.chars().all(plain) && key != "." && !key.starts_with("..")
}

pub(super) fn validate_immutable_data(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if object["kind"] == "Secret" && object["type"] != old["type"] {
        causes.push(Cause::invalid("type", &object["type"], "field is immutable"));
    }
    if old["immutable"] != true {
        return;
    }
    if object["immutable"] != true {
        causes.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in ["data", "binaryData"] {
        if object[field] != old[field] {
            causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
        }
    }
}

pub(super) fn validate_webhooks(object: &Value, causes: &mut Vec<Cause>) {
    for (at, webhook) in object["webhooks"].as_array().into_iter().flatten().enumerate() {
        let path = format!("webhooks[{at}]");
        let name = webhook["name"].as_str().unwrap_or("");
        if name.split('.').count() < 3 {
            causes.push(Cause::invalid(
                format!("{path}.name"),
                &webhook["name"],
                "should be a domain with at least three segments separated by dots",
            ));
        }
        let versions = webhook["admissionReviewVersions"].as_array();
        if versions
            .is_none_or(|versions| !versions.iter().any(|version| version == "v1" || version == "v1beta1"))
        {
            let detail = "must specify one of v1, v1beta1";
            causes.push(Cause::required(format!("{path}.admissionReviewVersions"), detail));
        }
        if !matches!(webhook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")) {
            let supported = ["None".to_owned(), "NoneOnDryRun".to_owned()];
            causes.push(Cause::not_supported(
                format!("{path}.sideEffects"),
                &webhook["sideEffects"],
                &supported,
            ));
        }
        let config = &webhook["clientConfig"];
        if config["url"].is_string() == config["service"].is_object() {
            causes.push(Cause::required(
                format!("{path}.clientConfig"),
                "exactly one of url or service is required",
            ));
        }
        for (at, condition) in webhook["matchConditions"].as_array().into_iter().flatten().enumerate() {
            let field = format!("{path}.matchConditions[{at}]");
            if condition["name"].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(format!("{field}.name"), ""));
            }
            if let Err(error) = compile_match_condition(condition["expression"].as_str().unwrap_or_default())
            {
                let detail = format!("compilation failed: {error}");
                causes.push(Cause::invalid(format!("{field}.expression"), &condition["expression"], &detail));
            }
        }
        let timeout = webhook["timeoutSeconds"].as_i64().unwrap_or(10);
        if !(1..=30).contains(&timeout) {
            causes.push(Cause::invalid(
                format!("{path}.timeoutSeconds"),
                &json!(timeout),
                "the timeout value must be between 1 and 30 seconds",
            ));
        }
    }
}

pub(super) fn validate_rbac(object: &Value, causes: &mut Vec<Cause>) {
    for (at, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            causes
                .push(Cause::required(format!("rules[{at}].verbs"), "verbs must contain at least one value"));
        }
    }
    for (at, subject) in object["subjects"].as_array().into_iter().flatten().enumerate() {
        if subject["name"].as_str().unwrap_or("").is_empty() {
            causes.push(Cause::required(format!("subjects[{at}].name"), ""));
        }
        if subject["kind"] == "ServiceAccount" && subject["namespace"].as_str().unwrap_or("").is_empty() {
            causes.push(Cause::required(format!("subjects[{at}].namespace"), ""));
        }
    }
}

pub(super) fn validate_budget(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        causes.push(Cause::invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"));
    }
}

pub(super) fn validate_lease(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        let value = &spec["leaseDurationSeconds"];
        causes.push(Cause::invalid("spec.leaseDurationSeconds", value, "must be greater than 0"));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|count| count < 0) {
        let value = &spec["leaseTransitions"];
        causes.push(Cause::invalid("spec.leaseTransitions", value, "must be greater than or equal to 0"));
    }
}
