//! Configuration written as `TypedStruct`: a type URL beside the fields as a struct, of which the message is made.

use std::borrow::Cow;

use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

use super::field::FieldError;
use super::proto::{self, Any};

/// `udpa.type.v1.TypedStruct` and `xds.type.v3.TypedStruct` look the same.
#[derive(Clone, PartialEq, prost::Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Struct>,
}

/// The message that a `TypedStruct` stands for; any other message as it is.
pub(crate) fn unwrap(any: &Any) -> Result<Cow<'_, Any>, FieldError> {
    if !matches!(proto::short_type(&any.type_url), "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct") {
        return Ok(Cow::Borrowed(any));
    }
    let typed: TypedStruct = proto::decode(any)?;
    let fields = json(Kind::StructValue(typed.value.unwrap_or_default()));
    let value = sagene_api::envoy::json::from_json(&typed.type_url, &fields).map_err(|error| {
        FieldError::new("value", format!("{}: {error}", proto::short_type(&typed.type_url)))
    })?;
    Ok(Cow::Owned(Any { type_url: typed.type_url, value }))
}

fn json(kind: Kind) -> serde_json::Value {
    let of = |value: Value| value.kind.map_or(serde_json::Value::Null, json);
    match kind {
        Kind::NullValue(_) => serde_json::Value::Null,
        Kind::NumberValue(number) => number_json(number),
        Kind::StringValue(text) => text.into(),
        Kind::BoolValue(flag) => flag.into(),
        Kind::StructValue(fields) => serde_json::Value::Object(
            fields.fields.into_iter().map(|(name, value)| (name, of(value))).collect(),
        ),
        Kind::ListValue(list) => list.values.into_iter().map(of).collect(),
    }
}

/// Structs know no whole numbers; those that are whole become it again.
fn number_json(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 9.0e15 {
        // Exact: checked to be whole and small.
        return (number as i64).into();
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, Into::into)
}
