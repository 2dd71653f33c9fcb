//! `local_reply_config`: how the proxy's own answers look.

use bytes::Bytes;

use super::access_log::{Filter, Format, substitution};
use super::field::{FieldError, Within};
use super::header_mutation::{Mutation, compile_added};
use super::proto::network::http_connection_manager::v3 as hcm;
use super::proto::{self, core};
use crate::access_log::format::Facts;
use crate::filter::cel::CelFacts;

/// A compiled `LocalReplyConfig`.
#[derive(Debug)]
pub(crate) struct LocalReply {
    mappers: Vec<Mapper>,
    format: Option<BodyFormat>,
}

/// What answers that a filter lets pass become.
#[derive(Debug)]
pub(crate) struct Mapper {
    filter: Filter,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<Bytes>,
    format: Option<BodyFormat>,
    pub(crate) headers: Vec<Mutation>,
}

/// A body made of the answer.
#[derive(Debug)]
pub(crate) struct BodyFormat {
    format: Format,
    omit_empty: bool,
    pub(crate) content_type: Box<str>,
}

impl LocalReply {
    pub(crate) fn compile(from: &hcm::LocalReplyConfig) -> Result<Self, FieldError> {
        let mappers = from.mappers.iter().enumerate();
        Ok(Self {
            mappers: mappers
                .map(|(index, mapper)| Mapper::compile(mapper).within_item("mappers", index))
                .collect::<Result<_, _>>()?,
            format: BodyFormat::compile(from.body_format.as_ref()).within("body_format")?,
        })
    }

    /// The first mapper for an answer.
    pub(crate) fn mapper(&self, facts: &CelFacts<'_>) -> Option<&Mapper> {
        self.mappers.iter().find(|mapper| mapper.filter.passes(facts))
    }

    /// How the body of an answer is made, where it is not left as it is.
    pub(crate) fn format<'f>(&'f self, mapper: Option<&'f Mapper>) -> Option<&'f BodyFormat> {
        mapper.and_then(|mapper| mapper.format.as_ref()).or(self.format.as_ref())
    }
}

impl Mapper {
    fn compile(from: &hcm::ResponseMapper) -> Result<Self, FieldError> {
        let filter = from.filter.as_ref().ok_or_else(|| FieldError::new("filter", "is missing"))?;
        let status = match from.status_code.as_ref().map(|code| code.value) {
            None => None,
            Some(code @ 200..600) => u16::try_from(code).ok(),
            Some(code) => {
                return Err(FieldError::new("status_code", format!("{code} is not between 200 and 599")));
            }
        };
        Ok(Self {
            filter: Filter::compile(filter).within("filter")?,
            status,
            body: from.body.as_ref().map(proto::data).transpose().within("body")?.map(Bytes::from),
            format: BodyFormat::compile(from.body_format_override.as_ref()).within("body_format_override")?,
            headers: compile_added(&from.headers_to_add, "headers_to_add")?,
        })
    }
}

impl BodyFormat {
    fn compile(from: Option<&core::SubstitutionFormatString>) -> Result<Option<Self>, FieldError> {
        let Some(from) = from else { return Ok(None) };
        let format = substitution(from)?;
        let content_type = match (from.content_type.as_str(), &format) {
            ("", Format::Json { .. }) => "application/json",
            ("", Format::Text { .. }) => "text/plain",
            (given, _) => given,
        };
        Ok(Some(Self { content_type: content_type.into(), omit_empty: from.omit_empty_values, format }))
    }

    pub(crate) fn render(&self, facts: &Facts<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        match &self.format {
            Format::Text { template, .. } => template.render(facts, self.omit_empty, &mut body),
            Format::Json { fields, .. } => fields.write_line(facts, self.omit_empty, &mut body),
        }
        body
    }
}
