//! Which messages of one direction are compressed (`CommonDirectionConfig`).

use crate::config::proto::http::compressor::v3::compressor::CommonDirectionConfig;
use crate::config::proto::{self, core};
use crate::config::{FieldError, TextMatch, Within, refuse_if};
use crate::http::headers::HeaderList;

/// Bytes below which a body is not worth it, where nothing else is said.
const MIN_LENGTH: u32 = 30;
/// Types that are compressed where nothing else is said.
const TYPES: [&str; 20] = [
    "text/html",
    "text/plain",
    "text/css",
    "text/xml",
    "text/javascript",
    "text/x-javascript",
    "text/ecmascript",
    "text/js",
    "text/jscript",
    "text/x-js",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/json",
    "application/x-json",
    "application/xml",
    "application/xhtml+xml",
    "application/grpc-web",
    "application/grpc-web+proto",
    "image/svg+xml",
];

/// A compiled direction.
#[derive(Debug)]
pub(super) struct DirectionRule {
    pub(super) enabled: bool,
    min_length: u64,
    types: Types,
}

#[derive(Debug)]
enum Types {
    Listed(Vec<String>),
    Matching(Vec<TextMatch>),
}

impl DirectionRule {
    pub(super) fn compile(from: &CommonDirectionConfig) -> Result<Self, FieldError> {
        let matchers = from.content_type_matcher.iter().enumerate();
        let matchers: Result<Vec<_>, _> = matchers
            .map(|(index, each)| TextMatch::compile(each).within_item("content_type_matcher", index))
            .collect();
        let matchers = matchers?;
        let mut rule =
            Self::flat(from.enabled.as_ref(), from.min_content_length.as_ref(), &from.content_type);
        if !matchers.is_empty() {
            rule.types = Types::Matching(matchers);
        }
        Ok(rule)
    }

    /// The fields by themselves, as the older form has them.
    pub(super) fn flat(
        enabled: Option<&core::RuntimeFeatureFlag>,
        min_length: Option<&proto::UInt32Value>,
        types: &[String],
    ) -> Self {
        let default = || TYPES.into_iter().map(str::to_owned).collect();
        Self {
            enabled: proto::flag(enabled),
            min_length: proto::uint(min_length, MIN_LENGTH).into(),
            types: Types::Listed(if types.is_empty() { default() } else { types.to_vec() }),
        }
    }

    /// Whether the length that the headers tell is worth it; one that they do not tell is.
    pub(super) fn takes_length(&self, headers: &HeaderList) -> bool {
        !headers.contains(b"content-length")
            || headers
                .get_text(b"content-length")
                .and_then(|text| text.parse::<u64>().ok())
                .is_some_and(|length| length >= self.min_length)
    }

    /// Whether the type is one of those; a message without one is.
    pub(super) fn takes_type(&self, headers: &HeaderList) -> bool {
        let Some(value) = headers.get(b"content-type") else { return true };
        let value = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match &self.types {
            Types::Listed(types) => types.iter().any(|each| each.as_bytes().eq_ignore_ascii_case(value)),
            Types::Matching(types) => types.iter().any(|each| each.matches(value)),
        }
    }
}

/// Reads `common_config`, which may be missing.
pub(super) fn common(from: Option<&CommonDirectionConfig>) -> Result<DirectionRule, FieldError> {
    DirectionRule::compile(from.unwrap_or(&CommonDirectionConfig::default())).within("common_config")
}

/// Refuses what only a runtime could change.
pub(super) fn known_library(url: &str) -> Result<(), FieldError> {
    let name = proto::short_type(url);
    let gzip = name == "envoy.extensions.compression.gzip.compressor.v3.Gzip";
    refuse_if(
        !gzip,
        "typed_config",
        &format!("{name} is not supported; use envoy.extensions.compression.gzip.compressor.v3.Gzip"),
    )
}
