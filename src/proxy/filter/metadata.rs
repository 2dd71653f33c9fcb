//! Dynamic metadata: what filters find out about a request and others match on, and the matchers for it.

use serde_json::{Map, Value};

use envoy_types::pb::envoy::r#type::metadata::v3 as proto_metadata;

use crate::config::proto::{matcher, types};
use crate::config::{FieldError, TextMatch, Within};

/// Values by namespace (the name of the filter that wrote them) and key.
#[derive(Debug, Clone, Default)]
pub(crate) struct DynamicMetadata(Map<String, Value>);

impl DynamicMetadata {
    /// Sets one key of a namespace.
    pub(crate) fn set(&mut self, namespace: &str, key: &str, value: Value) {
        let entry = self.0.entry(namespace).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(fields) = entry {
            fields.insert(key.to_owned(), value);
        }
    }

    /// The value at a path below a namespace.
    pub(crate) fn get<'p>(&self, namespace: &str, path: impl IntoIterator<Item = &'p str>) -> Option<&Value> {
        path.into_iter().try_fold(self.0.get(namespace)?, |value, key| value.get(key))
    }
}

/// A compiled `MetadataKey`: where a value stands.
#[derive(Debug, Clone)]
pub(crate) struct MetadataKey {
    namespace: Box<str>,
    path: Vec<Box<str>>,
}

impl MetadataKey {
    pub(crate) fn compile(from: &proto_metadata::MetadataKey) -> Result<Self, FieldError> {
        use proto_metadata::metadata_key::path_segment::Segment;
        let path = from.path.iter().enumerate().map(|(index, part)| match &part.segment {
            Some(Segment::Key(key)) => Ok(key.as_str().into()),
            _ => Err(FieldError::new(format!("path[{index}].key"), "is missing; only keys are supported")),
        });
        Ok(Self { namespace: from.key.as_str().into(), path: path.collect::<Result<_, _>>()? })
    }

    /// The value that stands there.
    pub(crate) fn find<'m>(&self, metadata: Option<&'m DynamicMetadata>) -> Option<&'m Value> {
        metadata?.get(&self.namespace, self.path.iter().map(|key| &**key))
    }
}

/// A compiled `MetadataMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct MetadataMatch {
    namespace: Box<str>,
    path: Vec<Box<str>>,
    value: ValueMatch,
    invert: bool,
}

impl MetadataMatch {
    pub(crate) fn compile(from: &matcher::MetadataMatcher) -> Result<Self, FieldError> {
        use matcher::metadata_matcher::path_segment::Segment;
        let path = from.path.iter().enumerate().map(|(index, part)| match &part.segment {
            Some(Segment::Key(key)) => Ok(key.as_str().into()),
            None => Err(FieldError::new(format!("path[{index}].key"), "is missing")),
        });
        let value = from.value.as_ref().ok_or_else(|| FieldError::new("value", "is missing"))?;
        Ok(Self {
            namespace: from.filter.as_str().into(),
            path: path.collect::<Result<_, _>>()?,
            value: ValueMatch::compile(value).within("value")?,
            invert: from.invert,
        })
    }

    /// Whether the metadata hold what is wanted.
    pub(crate) fn matches(&self, metadata: Option<&DynamicMetadata>) -> bool {
        let found = metadata.and_then(|all| all.get(&self.namespace, self.path.iter().map(|key| &**key)));
        self.value.matches(found.unwrap_or(&Value::Null)) != self.invert
    }
}

/// A compiled `ValueMatcher`. A value that is not there is null, as in Envoy.
#[derive(Debug, Clone)]
enum ValueMatch {
    Null,
    Exact(f64),
    Range(f64, f64),
    Text(TextMatch),
    Boolean(bool),
    Present(bool),
    OneOf(Box<ValueMatch>),
    Any(Vec<ValueMatch>),
}

impl ValueMatch {
    fn compile(from: &matcher::ValueMatcher) -> Result<Self, FieldError> {
        use matcher::value_matcher::MatchPattern;
        Ok(match from.match_pattern.as_ref() {
            Some(MatchPattern::NullMatch(_)) => Self::Null,
            Some(MatchPattern::DoubleMatch(number)) => number_match(number).within("double_match")?,
            Some(MatchPattern::StringMatch(text)) => {
                Self::Text(TextMatch::compile(text).within("string_match")?)
            }
            Some(MatchPattern::BoolMatch(wanted)) => Self::Boolean(*wanted),
            Some(MatchPattern::PresentMatch(wanted)) => Self::Present(*wanted),
            Some(MatchPattern::ListMatch(list)) => match &list.match_pattern {
                Some(matcher::list_matcher::MatchPattern::OneOf(inner)) => {
                    Self::OneOf(Box::new(Self::compile(inner).within("list_match.one_of")?))
                }
                None => return Err(FieldError::new("list_match.one_of", "is missing")),
            },
            Some(MatchPattern::OrMatch(or)) => {
                let each = |(index, one)| Self::compile(one).within_item("or_match.value_matchers", index);
                Self::Any(or.value_matchers.iter().enumerate().map(each).collect::<Result<_, _>>()?)
            }
            None => return Err(FieldError::new("match_pattern", "is missing")),
        })
    }

    fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any(list), value) => list.iter().any(|each| each.matches(value)),
            (Self::Present(wanted), value) => value.is_null() != *wanted,
            (Self::Null, Value::Null) => true,
            (Self::Exact(wanted), Value::Number(number)) => number.as_f64() == Some(*wanted),
            (Self::Range(start, end), Value::Number(number)) => {
                number.as_f64().is_some_and(|number| number >= *start && number < *end)
            }
            (Self::Text(rule), Value::String(text)) => rule.matches(text.as_bytes()),
            (Self::Boolean(wanted), Value::Bool(found)) => found == wanted,
            (Self::OneOf(inner), Value::Array(list)) => list.iter().any(|each| inner.matches(each)),
            _ => false,
        }
    }
}

fn number_match(from: &matcher::DoubleMatcher) -> Result<ValueMatch, FieldError> {
    use matcher::double_matcher::MatchPattern;
    match &from.match_pattern {
        Some(MatchPattern::Exact(number)) => Ok(ValueMatch::Exact(*number)),
        Some(MatchPattern::Range(types::DoubleRange { start, end })) => Ok(ValueMatch::Range(*start, *end)),
        None => Err(FieldError::new("match_pattern", "is missing")),
    }
}
