//! Tags that the operator wants on every span.

use envoy_types::pb::envoy::r#type::metadata::v3::{MetadataKind, metadata_kind::Kind};
use envoy_types::pb::envoy::r#type::tracing::v3::{
    CustomTag as Declared,
    custom_tag::{Metadata, Type},
};
use serde_json::Value;

use crate::access_log::format::{Facts, Template};
use crate::config::{FieldError, Within};
use crate::filter::metadata::MetadataKey;
use crate::filter::peer_metadata::Peer;

/// A compiled tag.
#[derive(Debug)]
pub(crate) struct CustomTag {
    pub(crate) name: Box<str>,
    value: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(Box<str>),
    /// A fact about this workload that the environment does not tell.
    Own(fn(&Peer) -> &str, Box<str>),
    Header(Box<[u8]>, Box<str>),
    Format(Template),
    /// What filters found out about the request.
    Metadata(MetadataKey, Box<str>),
}

impl CustomTag {
    pub(crate) fn compile(from: &Declared) -> Result<Self, FieldError> {
        let value = match &from.r#type {
            Some(Type::Literal(literal)) => Source::Fixed(literal.value.as_str().into()),
            Some(Type::Environment(variable)) => environment(&variable.name, &variable.default_value),
            Some(Type::RequestHeader(header)) => Source::Header(
                header.name.to_ascii_lowercase().into_bytes().into(),
                header.default_value.as_str().into(),
            ),
            Some(Type::Value(format)) => Source::Format(Template::compile(format).within("value")?),
            Some(Type::Metadata(from)) => metadata(from).within("metadata")?,
            None => return Err(FieldError::new("type", "is missing")),
        };
        Ok(Self { name: from.tag.as_str().into(), value })
    }

    /// The value; empty means that the tag is left out.
    pub(crate) fn value(&self, facts: &Facts<'_>, own: &Peer) -> String {
        match &self.value {
            Source::Fixed(text) => text.to_string(),
            Source::Own(read, default) => match read(own) {
                "" => default.to_string(),
                known => known.to_owned(),
            },
            Source::Header(name, default) => {
                facts.request.get_text(name).map_or_else(|| default.to_string(), str::to_owned)
            }
            Source::Format(template) => {
                let mut out = Vec::new();
                template.render(facts, true, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
            Source::Metadata(key, default) => match key.find(facts.info.metadata.as_deref()) {
                None | Some(Value::Null) => default.to_string(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            },
        }
    }
}

/// A value that a filter notes about the request. What routes, clusters and endpoints say is refused by name.
fn metadata(from: &Metadata) -> Result<Source, FieldError> {
    let kind = from.kind.as_ref().and_then(|MetadataKind { kind }| kind.as_ref());
    if !matches!(kind, Some(Kind::Request(_))) {
        return Err(FieldError::new("kind", "is not supported; only that of the request is"));
    }
    let key = from.metadata_key.as_ref().ok_or_else(|| FieldError::new("metadata_key", "is missing"))?;
    Ok(Source::Metadata(
        MetadataKey::compile(key).within("metadata_key")?,
        from.default_value.as_str().into(),
    ))
}

/// A variable of the environment. The canonical names are those of the node where no variable has them.
fn environment(name: &str, default: &str) -> Source {
    if let Ok(value) = std::env::var(name)
        && !value.is_empty()
    {
        return Source::Fixed(value.into());
    }
    match name {
        "CANONICAL_SERVICE" => Source::Own(|own| &own.canonical_service, default.into()),
        "CANONICAL_REVISION" => Source::Own(|own| &own.canonical_revision, default.into()),
        _ => Source::Fixed(default.into()),
    }
}
