//! Messages without some of their fields, wherever these stand, also inside `Any`; and which fields a message has.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use super::{JsonError, full_name};

/// How a field is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The field is unset.
    Field,
    /// The nearest message of this full name around the field goes with it: the one that holds it, or one that holds that.
    Around(&'static str),
}

/// What is left of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// All of it.
    Everything,
    /// These bytes.
    Some(Vec<u8>),
    /// Nothing: the message itself is to go.
    Nothing,
}

/// Asked of every field that is set, by the full name of its message and its own name: whether and how it is taken out.
pub type Unwanted<'a> = &'a dyn Fn(&str, &str) -> Option<Removal>;

/// Takes fields out of an encoded message.
pub(super) fn without(
    pool: &DescriptorPool,
    type_url: &str,
    bytes: &[u8],
    unwanted: Unwanted<'_>,
) -> Result<Rest, JsonError> {
    let mut message = read(pool, type_url, bytes)?;
    Ok(match (Remover { pool, unwanted }).message(&mut message) {
        Found::Nothing => Rest::Everything,
        Found::Taken => Rest::Some(message.encode_to_vec()),
        Found::Leaves(_) => Rest::Nothing,
    })
}

/// The fields that are set in an encoded message and in those inside it, as `full.name.of.Message.field`.
pub(super) fn fields(
    pool: &DescriptorPool,
    type_url: &str,
    bytes: &[u8],
) -> Result<BTreeSet<String>, JsonError> {
    let mut message = read(pool, type_url, bytes)?;
    let found = std::cell::RefCell::new(BTreeSet::new());
    let note = |message: &str, field: &str| {
        found.borrow_mut().insert(format!("{message}.{field}"));
        None
    };
    (Remover { pool, unwanted: &note }).message(&mut message);
    Ok(found.into_inner())
}

fn read(pool: &DescriptorPool, type_url: &str, bytes: &[u8]) -> Result<DynamicMessage, JsonError> {
    let name = full_name(type_url);
    let descriptor = pool.get_message_by_name(name).ok_or_else(|| JsonError::UnknownType(name.to_owned()))?;
    DynamicMessage::decode(descriptor, bytes)
        .map_err(|source| JsonError::Bytes { type_name: name.to_owned(), source })
}

struct Remover<'a> {
    pool: &'a DescriptorPool,
    unwanted: Unwanted<'a>,
}

/// What was found in a message.
#[derive(Clone, Copy)]
enum Found {
    Nothing,
    /// Something was taken out.
    Taken,
    /// The nearest message of this name around it has to go.
    Leaves(&'static str),
}

impl Found {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Leaves(name), _) | (_, Self::Leaves(name)) => Self::Leaves(name),
            (Self::Nothing, Self::Nothing) => Self::Nothing,
            _ => Self::Taken,
        }
    }
}

impl Remover<'_> {
    fn message(&self, message: &mut DynamicMessage) -> Found {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        if name == "google.protobuf.Any" {
            return self.any(message);
        }
        // Values, not configuration.
        if name.starts_with("google.protobuf.") {
            return Found::Nothing;
        }
        let mut found = Found::Nothing;
        let set: Vec<FieldDescriptor> =
            descriptor.fields().filter(|field| message.has_field(field)).collect();
        for field in set {
            found = found.and(match (self.unwanted)(name, field.name()) {
                Some(Removal::Field) => {
                    message.clear_field(&field);
                    Found::Taken
                }
                Some(Removal::Around(around)) => Found::Leaves(around),
                None => self.field(message, &field),
            });
        }
        found
    }

    fn field(&self, message: &mut DynamicMessage, field: &FieldDescriptor) -> Found {
        let mut found = Found::Nothing;
        let mut stays = |value: &mut Value| match value {
            Value::Message(inner) => {
                let name = inner.descriptor().full_name().to_owned();
                match self.message(inner) {
                    Found::Leaves(around) if around == name => {
                        found = found.and(Found::Taken);
                        false
                    }
                    other => {
                        found = found.and(other);
                        true
                    }
                }
            }
            _ => true,
        };
        let empty = match message.get_field_mut(field) {
            Value::List(items) => {
                items.retain_mut(&mut stays);
                items.is_empty()
            }
            Value::Map(entries) => {
                entries.retain(|_, value| stays(value));
                entries.is_empty()
            }
            single => !stays(single),
        };
        if empty {
            message.clear_field(field);
        }
        found
    }

    /// The message inside; one of a type that is not known here stays as it is.
    fn any(&self, any: &mut DynamicMessage) -> Found {
        let text = |name| any.get_field_by_name(name).map(|value| value.into_owned());
        let (Some(Value::String(type_url)), Some(Value::Bytes(bytes))) = (text("type_url"), text("value"))
        else {
            return Found::Nothing;
        };
        let Ok(mut inner) = read(self.pool, &type_url, &bytes) else { return Found::Nothing };
        let found = self.message(&mut inner);
        if matches!(found, Found::Taken) {
            any.set_field_by_name("value", Value::Bytes(inner.encode_to_vec().into()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::codec;
    use super::{Removal, Rest};

    const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
    const CONTEXT: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

    fn cluster() -> Value {
        let socket = |name: &str, sni: &str| {
            json!({"name": name, "transport_socket": {"name": "tls", "typed_config": {
                "@type": format!("type.googleapis.com/{CONTEXT}"), "sni": sni,
                "common_tls_context": {"alpn_protocols": ["h2"]}}}})
        };
        json!({"name": "a", "connect_timeout": "1s", "transport_socket_matches":
            [socket("one", "x"), json!({"name": "two"})]})
    }

    fn rest(message: &str, field: &str, removal: Removal) -> Rest {
        let codec = codec().expect("descriptors");
        let bytes = codec.from_json(CLUSTER, &cluster()).expect("a cluster");
        let unwanted = |of: &str, name: &str| (of == message && name == field).then_some(removal);
        codec.without(CLUSTER, &bytes, &unwanted).expect("the same message")
    }

    fn shown(rest: Rest) -> Value {
        let Rest::Some(bytes) = rest else { panic!("{rest:?}") };
        codec().and_then(|codec| codec.to_json(CLUSTER, &bytes)).expect("JSON")
    }

    #[test]
    fn fields_go_alone_or_with_what_is_around_them() {
        let left = shown(rest(CONTEXT, "sni", Removal::Field));
        let context = &left["transport_socket_matches"][0]["transport_socket"]["typed_config"];
        assert_eq!(
            (context.get("sni"), &context["common_tls_context"]["alpn_protocols"][0]),
            (None, &json!("h2"))
        );
        let around = Removal::Around("envoy.config.cluster.v3.Cluster.TransportSocketMatch");
        assert_eq!(shown(rest(CONTEXT, "sni", around))["transport_socket_matches"], json!([{"name": "two"}]));
        assert_eq!(rest(CONTEXT, "sni", Removal::Around(CLUSTER)), Rest::Nothing);
        assert_eq!(rest(CONTEXT, "allow_renegotiation", Removal::Field), Rest::Everything);
    }

    #[test]
    fn fields_are_listed_with_those_inside() {
        let codec = codec().expect("descriptors");
        let bytes = codec.from_json(CLUSTER, &cluster()).expect("a cluster");
        let fields = codec.fields(CLUSTER, &bytes).expect("fields");
        for wanted in [format!("{CLUSTER}.connect_timeout"), format!("{CONTEXT}.sni")] {
            assert!(fields.contains(&wanted), "{wanted}: {fields:?}");
        }
    }
}
