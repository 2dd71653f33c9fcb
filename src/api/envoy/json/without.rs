//! Messages without some of their fields, wherever these stand, also inside `Any`; and which fields a message has.

use std::collections::BTreeSet;

use super::{JsonError, read};
use crate::envoy::reflect::{FieldDescriptor, Message, Value};

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
pub(super) fn without(type_url: &str, bytes: &[u8], unwanted: Unwanted<'_>) -> Result<Rest, JsonError> {
    let mut message = read(type_url, bytes)?;
    Ok(match (Remover { unwanted }).message(&mut message) {
        Found::Nothing => Rest::Everything,
        Found::Taken => Rest::Some(message.encode()),
        Found::Leaves(_) => Rest::Nothing,
    })
}

/// The fields that are set in an encoded message and in those inside it, as `full.name.of.Message.field`.
pub(super) fn fields(type_url: &str, bytes: &[u8]) -> Result<BTreeSet<String>, JsonError> {
    let mut message = read(type_url, bytes)?;
    let found = std::cell::RefCell::new(BTreeSet::new());
    let note = |message: &str, field: &str| {
        found.borrow_mut().insert(format!("{message}.{field}"));
        None
    };
    (Remover { unwanted: &note }).message(&mut message);
    Ok(found.into_inner())
}

struct Remover<'a> {
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
    fn message(&self, message: &mut Message) -> Found {
        let descriptor = message.descriptor();
        match descriptor.well_known_name() {
            Some("Any") => return self.any(message),
            // Values, not configuration.
            Some(_) => return Found::Nothing,
            None => {}
        }
        let name = descriptor.full_name();
        let mut found = Found::Nothing;
        let set: Vec<FieldDescriptor> = message.set_fields().map(|(field, _)| field).collect();
        for field in set {
            found = found.and(match (self.unwanted)(name, field.name()) {
                Some(Removal::Field) => {
                    message.clear(field);
                    Found::Taken
                }
                Some(Removal::Around(around)) => Found::Leaves(around),
                None => self.field(message, field),
            });
        }
        found
    }

    fn field(&self, message: &mut Message, field: FieldDescriptor) -> Found {
        let mut found = Found::Nothing;
        let mut stays = |value: &mut Value| match value {
            Value::Message(inner) => {
                let name = inner.descriptor().full_name();
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
        let empty = match message.get_mut(field) {
            None => return Found::Nothing,
            Some(Value::List(items)) => {
                items.retain_mut(&mut stays);
                items.is_empty()
            }
            Some(Value::Map(entries)) => {
                entries.retain(|_, value| stays(value));
                entries.is_empty()
            }
            Some(single) => !stays(single),
        };
        if empty {
            message.clear(field);
        }
        found
    }

    /// The message inside; one of a type that is not known here stays as it is.
    fn any(&self, any: &mut Message) -> Found {
        let get = |name| any.by_name(name);
        let (Some(type_url), Some(bytes)) = (get("type_url"), get("value")) else { return Found::Nothing };
        let (Some(type_url), Some(bytes)) = (type_url.as_str(), bytes.as_bytes()) else {
            return Found::Nothing;
        };
        let Ok(mut inner) = read(type_url, bytes) else { return Found::Nothing };
        let found = self.message(&mut inner);
        if matches!(found, Found::Taken) {
            any.set_by_name("value", Value::Bytes(inner.encode()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{from_json, to_json};
    use super::{Removal, Rest, fields, without};

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
        let bytes = from_json(CLUSTER, &cluster()).expect("a cluster");
        let unwanted = |of: &str, name: &str| (of == message && name == field).then_some(removal);
        without(CLUSTER, &bytes, &unwanted).expect("the same message")
    }

    fn shown(rest: Rest) -> Value {
        let Rest::Some(bytes) = rest else { panic!("{rest:?}") };
        to_json(CLUSTER, &bytes).expect("JSON")
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
        let bytes = from_json(CLUSTER, &cluster()).expect("a cluster");
        let found = fields(CLUSTER, &bytes).expect("fields");
        for wanted in [format!("{CLUSTER}.connect_timeout"), format!("{CONTEXT}.sni")] {
            assert!(found.contains(&wanted), "{wanted}: {found:?}");
        }
    }
}
