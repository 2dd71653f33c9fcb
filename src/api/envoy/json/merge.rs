//! One message merged into another, as Istio merges patches: fields that are set win, messages are merged field by field, lists are
//! appended, maps are merged by key, and messages inside `Any` are merged when they are of one type.

use super::{JsonError, full_name, read};
use crate::envoy::reflect::{Message, Value};

/// What becomes of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// The patch's items stand behind those that are there.
    Append,
    /// The patch's items take the place of those that are there.
    Replace,
}

/// Merges by type; both and the result are encoded.
pub(super) fn merge(type_url: &str, base: &[u8], patch: &[u8], lists: Lists) -> Result<Vec<u8>, JsonError> {
    let mut into = read(type_url, base)?;
    merge_message(&mut into, read(type_url, patch)?, lists)?;
    Ok(into.encode())
}

fn merge_message(into: &mut Message, mut from: Message, lists: Lists) -> Result<(), JsonError> {
    let descriptor = from.descriptor();
    match descriptor.well_known_name() {
        Some("Any") => return merge_any(into, from, lists),
        // One value in the shape of a message: half of one and half of another would be neither.
        Some(name) if name.ends_with("Value") || matches!(name, "Duration" | "Timestamp") => {
            *into = from;
            return Ok(());
        }
        _ => {}
    }
    let set: Vec<_> = from.set_fields().map(|(field, _)| field).collect();
    for field in set {
        let Some(value) = from.take(field) else { continue };
        let merged = match (into.take(field), value) {
            (Some(Value::List(mut known)), Value::List(more)) if lists == Lists::Append => {
                known.extend(more);
                Value::List(known)
            }
            (Some(Value::Map(mut known)), Value::Map(more)) => {
                known.extend(more);
                Value::Map(known)
            }
            (Some(Value::Message(mut known)), Value::Message(more)) => {
                merge_message(&mut known, more, lists)?;
                Value::Message(known)
            }
            (_, value) => value,
        };
        into.set(field, merged);
    }
    Ok(())
}

fn merge_any(into: &mut Message, from: Message, lists: Lists) -> Result<(), JsonError> {
    let parts = |message: &Message| {
        let type_url = message.by_name("type_url").and_then(|value| value.as_str().map(str::to_owned));
        let bytes = message.by_name("value").and_then(|value| value.as_bytes().map(<[u8]>::to_vec));
        (type_url.unwrap_or_default(), bytes.unwrap_or_default())
    };
    let ((known_type, known), (type_url, value)) = (parts(into), parts(&from));
    if known_type.is_empty() {
        *into = from;
        return Ok(());
    }
    if full_name(&known_type) != full_name(&type_url) {
        let (own, other) = (full_name(&known_type), full_name(&type_url));
        return Err(JsonError::Field {
            path: "typed_config".to_owned(),
            reason: format!("a {other} cannot be merged into a {own}"),
        });
    }
    into.set_by_name("value", Value::Bytes(merge(&known_type, &known, &value, lists)?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{from_json, to_json};
    use super::{Lists, merge};

    #[test]
    fn merges_as_istio_does() {
        let name = "envoy.config.cluster.v3.Cluster";
        let encode = |value: Value| from_json(name, &value).expect("a cluster");
        let socket = |sni: &str, names: &[&str]| {
            json!({"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni, "common_tls_context": {"alpn_protocols": names}}})
        };
        let base = encode(json!({"name": "a", "connect_timeout": "10.5s", "dns_resolvers": [],
            "transport_socket": socket("old", &["h2"]), "max_requests_per_connection": 5}));
        let patch =
            encode(json!({"connect_timeout": "1s", "transport_socket": socket("new", &["http/1.1"])}));
        let merged =
            |lists| to_json(name, &merge(name, &base, &patch, lists).expect("merged")).expect("JSON");
        let appended = merged(Lists::Append);
        assert_eq!(appended["connect_timeout"], "1s");
        assert_eq!(appended["max_requests_per_connection"], 5);
        let context = |all: &Value| all["transport_socket"]["typed_config"].clone();
        assert_eq!(context(&appended)["sni"], "new");
        assert_eq!(context(&appended)["common_tls_context"]["alpn_protocols"], json!(["h2", "http/1.1"]));
        let replaced = merged(Lists::Replace);
        assert_eq!(context(&replaced)["common_tls_context"]["alpn_protocols"], json!(["http/1.1"]));
        let other = encode(json!({"transport_socket": {"typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}));
        let error = merge(name, &base, &other, Lists::Append).expect_err("two types");
        assert!(error.to_string().contains("RawBuffer cannot be merged into a"), "{error}");
    }
}
