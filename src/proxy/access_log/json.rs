//! Access log lines as JSON: a tree of templates, compiled once.

use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

use super::format::{Facts, Template};
use crate::config::{FieldError, Within};

/// What stands at one place of a line.
#[derive(Debug)]
pub(crate) enum JsonValue {
    Template(Template),
    /// By key, sorted.
    Object(Vec<(String, JsonValue)>),
    List(Vec<JsonValue>),
    Fixed(serde_json::Value),
}

impl JsonValue {
    /// Compiles `json_format`.
    pub(crate) fn compile(from: &Struct) -> Result<Self, FieldError> {
        let each = from.fields.iter();
        let compiled = each.map(|(key, value)| Ok((key.clone(), Self::of(value).within(key)?)));
        let mut fields = compiled.collect::<Result<Vec<_>, FieldError>>()?;
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self::Object(fields))
    }

    fn of(value: &Value) -> Result<Self, FieldError> {
        Ok(match &value.kind {
            None | Some(Kind::NullValue(_)) => Self::Fixed(serde_json::Value::Null),
            Some(Kind::BoolValue(fixed)) => Self::Fixed((*fixed).into()),
            Some(Kind::NumberValue(fixed)) if fixed.fract() == 0.0 && fixed.abs() < 9e15 => {
                Self::Fixed((*fixed as i64).into())
            }
            Some(Kind::NumberValue(fixed)) => Self::Fixed((*fixed).into()),
            Some(Kind::StringValue(text)) => Self::Template(Template::compile(text)?),
            Some(Kind::StructValue(inner)) => Self::compile(inner)?,
            Some(Kind::ListValue(list)) => {
                let each = list.values.iter().enumerate();
                Self::List(each.map(|(i, each)| Self::of(each).within_item("", i)).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Appends the line.
    pub(crate) fn write_line(&self, facts: &Facts<'_>, omit_empty: bool, line: &mut Vec<u8>) {
        let object = self.render(facts, omit_empty).unwrap_or_default();
        if serde_json::to_writer(&mut *line, &object).is_ok() {
            line.push(b'\n');
        }
    }

    /// `None` = left out because it is empty.
    fn render(&self, facts: &Facts<'_>, omit_empty: bool) -> Option<serde_json::Value> {
        Some(match self {
            Self::Fixed(fixed) => fixed.clone(),
            Self::Object(fields) => {
                let each = fields.iter();
                let each =
                    each.filter_map(|(key, value)| Some((key.clone(), value.render(facts, omit_empty)?)));
                serde_json::Value::Object(each.collect())
            }
            Self::List(list) => {
                let each = list.iter();
                each.map(|value| value.render(facts, omit_empty).unwrap_or_default()).collect()
            }
            Self::Template(template) => {
                let mut text = Vec::new();
                // A value that is missing is null; within other text it is a dash.
                template.render(facts, template.is_single() || omit_empty, &mut text);
                let text = String::from_utf8_lossy(&text).into_owned();
                match (text.is_empty(), template.is_number()) {
                    (true, _) if omit_empty => return None,
                    (true, _) => serde_json::Value::Null,
                    (false, true) => text.parse::<u64>().map_or(serde_json::Value::String(text), Into::into),
                    (false, false) => serde_json::Value::String(text),
                }
            }
        })
    }
}
