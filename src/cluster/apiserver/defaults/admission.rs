//! Defaults of webhook configurations.

use serde_json::{Value, json};

use super::{items, put};

pub(super) fn webhooks(object: &mut Value, mutating: bool) {
    for webhook in items(object, "webhooks") {
        put(webhook, "failurePolicy", json!("Fail"));
        put(webhook, "matchPolicy", json!("Equivalent"));
        put(webhook, "namespaceSelector", json!({}));
        put(webhook, "objectSelector", json!({}));
        put(webhook, "timeoutSeconds", json!(10));
        if mutating {
            put(webhook, "reinvocationPolicy", json!("Never"));
        }
        if let Some(service) = webhook.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
            put(service, "port", json!(443));
        }
        for rule in items(webhook, "rules") {
            put(rule, "scope", json!("*"));
        }
    }
}
