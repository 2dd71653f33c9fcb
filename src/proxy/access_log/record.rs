//! Records of OpenTelemetry: a body and attributes, each a tree of templates, compiled once.

use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Kind;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use sagene_api::trace::opentelemetry_logs::LogRecord;

use super::format::{Facts, Template};
use crate::config::{FieldError, Within};

/// How a record looks.
#[derive(Debug)]
pub(crate) struct RecordFormat {
    body: Option<Node>,
    attributes: Vec<(String, Node)>,
}

#[derive(Debug)]
enum Node {
    Template(Template),
    Fields(Vec<(String, Node)>),
    List(Vec<Node>),
}

impl RecordFormat {
    pub(crate) fn compile(
        body: Option<&AnyValue>,
        attributes: Option<&KeyValueList>,
    ) -> Result<Self, FieldError> {
        let attributes = attributes.map(Node::fields).transpose().within("attributes")?;
        Ok(Self {
            body: body.map(Node::compile).transpose().within("body")?,
            attributes: attributes.unwrap_or_default(),
        })
    }

    /// The record of a request or connection, dated by its start.
    pub(crate) fn record(&self, facts: &Facts<'_>) -> LogRecord {
        let nanos = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        };
        LogRecord {
            time_unix_nano: nanos(facts.info.start_time),
            body: self.body.as_ref().map(|body| body.render(facts)),
            attributes: pairs(&self.attributes, facts),
            trace_id: facts.info.trace.map(|ids| ids.trace.to_be_bytes().to_vec()).unwrap_or_default(),
            span_id: facts.info.trace.map(|ids| ids.span.to_be_bytes().to_vec()).unwrap_or_default(),
            ..LogRecord::default()
        }
    }
}

impl Node {
    /// Envoy takes texts, lists and mappings of them.
    fn compile(from: &AnyValue) -> Result<Self, FieldError> {
        match &from.value {
            Some(Kind::StringValue(text)) => Template::compile(text).map(Self::Template),
            Some(Kind::KvlistValue(list)) => Self::fields(list).map(Self::Fields),
            Some(Kind::ArrayValue(list)) => {
                let each = list.values.iter().enumerate();
                let each = each.map(|(index, value)| Self::compile(value).within_item("", index));
                each.collect::<Result<_, _>>().map(Self::List)
            }
            _ => Err(FieldError::new("value", "only string, nested list and array values are supported")),
        }
    }

    fn fields(list: &KeyValueList) -> Result<Vec<(String, Self)>, FieldError> {
        let pair = |pair: &KeyValue| {
            let value = pair.value.as_ref().ok_or_else(|| FieldError::new("value", "is missing"));
            Ok((pair.key.clone(), value.and_then(Self::compile).within(&pair.key)?))
        };
        list.values.iter().map(pair).collect()
    }

    fn render(&self, facts: &Facts<'_>) -> AnyValue {
        let kind = match self {
            Self::Template(template) => {
                let mut text = Vec::new();
                template.render(facts, false, &mut text);
                Kind::StringValue(String::from_utf8_lossy(&text).into_owned())
            }
            Self::Fields(fields) => Kind::KvlistValue(KeyValueList { values: pairs(fields, facts) }),
            Self::List(list) => {
                Kind::ArrayValue(ArrayValue { values: list.iter().map(|node| node.render(facts)).collect() })
            }
        };
        AnyValue { value: Some(kind) }
    }
}

fn pairs(fields: &[(String, Node)], facts: &Facts<'_>) -> Vec<KeyValue> {
    let pair = |(key, node): &(String, Node)| pair(key, node.render(facts));
    fields.iter().map(pair).collect()
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A fact that is a text.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, AnyValue { value: Some(Kind::StringValue(value.to_owned())) })
}
