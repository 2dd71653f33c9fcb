//! One message merged into another, as Istio merges patches: fields that are set win, messages are merged field by field, lists are
//! appended, maps are merged by key, and messages inside `Any` are merged when they are of one type.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

use super::{JsonError, full_name};

/// What becomes of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// The patch's items stand behind those that are there.
    Append,
    /// The patch's items take the place of those that are there.
    Replace,
}

/// Merges by type; both and the result are encoded.
pub(super) fn merge(
    pool: &DescriptorPool,
    type_url: &str,
    base: &[u8],
    patch: &[u8],
    lists: Lists,
) -> Result<Vec<u8>, JsonError> {
    let name = full_name(type_url);
    let descriptor = pool.get_message_by_name(name).ok_or_else(|| JsonError::UnknownType(name.to_owned()))?;
    let read = |bytes: &[u8]| {
        DynamicMessage::decode(descriptor.clone(), bytes)
            .map_err(|source| JsonError::Bytes { type_name: name.to_owned(), source })
    };
    let mut into = read(base)?;
    Merger { pool, lists }.message(&mut into, &read(patch)?)?;
    Ok(into.encode_to_vec())
}

struct Merger<'a> {
    pool: &'a DescriptorPool,
    lists: Lists,
}

impl Merger<'_> {
    fn message(&self, into: &mut DynamicMessage, from: &DynamicMessage) -> Result<(), JsonError> {
        let descriptor = from.descriptor();
        match descriptor.full_name().strip_prefix("google.protobuf.") {
            Some("Any") => return self.any(into, from),
            // One value in the shape of a message: half of one and half of another would be neither.
            Some(name) if name.ends_with("Value") || matches!(name, "Duration" | "Timestamp") => {
                *into = from.clone();
                return Ok(());
            }
            _ => {}
        }
        for field in descriptor.fields().filter(|field| from.has_field(field)) {
            let value = from.get_field(&field).into_owned();
            let set = into.has_field(&field);
            let merged = match (into.get_field(&field).into_owned(), value) {
                (Value::List(mut known), Value::List(more)) if self.lists == Lists::Append => {
                    known.extend(more);
                    Value::List(known)
                }
                (Value::Map(mut known), Value::Map(more)) => {
                    known.extend(more);
                    Value::Map(known)
                }
                (Value::Message(mut known), Value::Message(more)) if set => {
                    self.message(&mut known, &more)?;
                    Value::Message(known)
                }
                (_, value) => value,
            };
            into.set_field(&field, merged);
        }
        Ok(())
    }

    fn any(&self, into: &mut DynamicMessage, from: &DynamicMessage) -> Result<(), JsonError> {
        let parts = |message: &DynamicMessage| {
            let text =
                message.get_field_by_name("type_url").and_then(|value| value.as_str().map(str::to_owned));
            let bytes = message.get_field_by_name("value").and_then(|value| value.as_bytes().cloned());
            (text.unwrap_or_default(), bytes.unwrap_or_default())
        };
        let ((known_type, known), (type_url, value)) = (parts(into), parts(from));
        if known_type.is_empty() {
            *into = from.clone();
            return Ok(());
        }
        if full_name(&known_type) != full_name(&type_url) {
            return Err(JsonError::Field {
                path: "typed_config".to_owned(),
                reason: format!(
                    "a {} cannot be merged into a {}",
                    full_name(&type_url),
                    full_name(&known_type)
                ),
            });
        }
        let merged = merge(self.pool, &known_type, &known, &value, self.lists)?;
        into.set_field_by_name("value", Value::Bytes(merged.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::codec;
    use super::Lists;

    #[test]
    fn merges_as_istio_does() {
        let codec = codec().expect("descriptors");
        let name = "envoy.config.cluster.v3.Cluster";
        let encode = |value: Value| codec.from_json(name, &value).expect("a cluster");
        let socket = |sni: &str, names: &[&str]| {
            json!({"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni, "common_tls_context": {"alpn_protocols": names}}})
        };
        let base = encode(json!({"name": "a", "connect_timeout": "10.5s", "dns_resolvers": [],
            "transport_socket": socket("old", &["h2"]), "max_requests_per_connection": 5}));
        let patch =
            encode(json!({"connect_timeout": "1s", "transport_socket": socket("new", &["http/1.1"])}));
        let merged = |lists| {
            codec.to_json(name, &codec.merge(name, &base, &patch, lists).expect("merged")).expect("JSON")
        };
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
        let error = codec.merge(name, &base, &other, Lists::Append).expect_err("two types");
        assert!(error.to_string().contains("RawBuffer cannot be merged into a"), "{error}");
    }
}
