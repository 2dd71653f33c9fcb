//! Resources as Envoy's JSON, without what must not be shown.

use std::time::SystemTime;

use envoy_types::pb::google::protobuf::Any;
use sagene_api::envoy::json::any_to_json;
use serde_json::{Value, json};

/// What stands in the place of a secret: `[redacted]`, in the base64 of a bytes field.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";
/// What stands in the place of a secret text.
const REDACTED_TEXT: &str = "[redacted]";
/// Fields that hold a data source with a secret.
const SECRET_FIELDS: [&str; 6] =
    ["private_key", "privateKey", "password", "secret", "hmac_secret", "token_secret"];

/// A resource with its type, expanded and redacted.
pub(in crate::admin) fn shown(any: &Any) -> Value {
    let mut value = any_to_json(any);
    redact(&mut value);
    value
}

/// The same without the type.
pub(in crate::admin) fn shown_untyped(any: &Any) -> Value {
    let mut value = shown(any);
    if let Value::Object(map) = &mut value {
        map.remove("@type");
    }
    value
}

/// Replaces secrets anywhere in a resource; also in TLS contexts deep inside listeners and clusters.
fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in map.iter_mut() {
                if SECRET_FIELDS.contains(&name.as_str()) {
                    redact_source(field);
                } else if matches!(name.as_str(), "session_ticket_keys" | "sessionTicketKeys") {
                    redact_all_sources(field);
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

fn redact_source(source: &mut Value) {
    let Value::Object(map) = source else {
        return;
    };
    for name in ["inline_bytes", "inlineBytes"] {
        if map.contains_key(name) {
            map.insert(name.to_owned(), json!(REDACTED_BYTES));
        }
    }
    for name in ["inline_string", "inlineString"] {
        if map.contains_key(name) {
            map.insert(name.to_owned(), json!(REDACTED_TEXT));
        }
    }
}

fn redact_all_sources(value: &mut Value) {
    redact_source(value);
    match value {
        Value::Object(map) => map.values_mut().for_each(redact_all_sources),
        Value::Array(values) => values.iter_mut().for_each(redact_all_sources),
        _ => {}
    }
}

/// A moment as proto JSON writes it.
pub(in crate::admin) fn timestamp(at: SystemTime) -> Value {
    match jiff::Timestamp::try_from(at) {
        Ok(at) => json!(format!("{at:.3}")),
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_wherever_they_are() {
        let mut value = json!({"filter_chains": [{"transport_socket": {"typed_config": {"common_tls_context": {"tls_certificates": [
            {"certificate_chain": {"inline_bytes": "cHVi"}, "private_key": {"inline_bytes": "cHJpdmF0ZQ=="}},
            {"private_key": {"filename": "/etc/key.pem"}, "password": {"inline_string": "hunter2"}},
        ]}, "session_ticket_keys": {"keys": [{"inline_bytes": "a2V5"}]}}}}], "generic_secret": {"secret": {"inline_string": "s"}}});
        redact(&mut value);
        let text = value.to_string();
        for hidden in ["cHJpdmF0ZQ==", "hunter2", "a2V5", ":\"s\""] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert!(text.contains("cHVi") && text.contains("/etc/key.pem"), "{text}");
    }
}
