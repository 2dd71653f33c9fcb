//! Tags that the operator wants on every span.

use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag as Declared, custom_tag::Type};

use crate::access_log::format::{Facts, Template};
use crate::config::{FieldError, Within};
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
            Some(Type::Metadata(_)) => return Err(FieldError::new("metadata", "is not supported")),
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
        }
    }
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
