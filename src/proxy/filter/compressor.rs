//! `envoy.filters.http.compressor` with gzip: compresses responses for clients that take it, and requests where wanted.

mod accept;
mod direction;
mod exchange;
mod statistics;

use std::sync::OnceLock;

use direction::DirectionRule;
pub(crate) use exchange::AcceptEncoding;
use statistics::Counters;
pub(crate) use statistics::DirectionCounters;

use crate::config::proto::compression::gzip::compressor::v3 as gzip;
use crate::config::proto::core::TypedExtensionConfig;
use crate::config::proto::http::compressor::v3 as filter;
use crate::config::proto::{self, UInt32Value};
use crate::config::{FieldError, Within, refuse_fields, refuse_if, unwrap_typed_struct};
use crate::gzip::GzipSettings;
use crate::stats::Registry;

/// A compiled `Compressor`.
#[derive(Debug)]
pub(crate) struct Compressor {
    library: Box<str>,
    settings: GzipSettings,
    request: Option<DirectionRule>,
    response: DirectionRule,
    etag: Etag,
    removes_accept_encoding: bool,
    /// Status codes whose answers stay as they are.
    codes: Vec<u32>,
    /// What comes before the names of the response's counters: the older form of the configuration has nothing there.
    response_prefix: &'static str,
    /// Of the first connection manager that used the filter; that is nearly always the only one.
    counters: OnceLock<Counters>,
}

/// What becomes of answers with an `etag`: it names bytes that the client will not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Etag {
    /// A strong one goes.
    Removed,
    /// A strong one becomes weak.
    Weakened,
    /// They are not compressed.
    Kept,
}

/// What a route says instead of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CompressorOverride {
    /// Responses stay as they are.
    Disabled,
    /// Responses are compressed, with these settings where the route has its own.
    Enabled { removes_accept_encoding: Option<bool>, settings: Option<GzipSettings> },
}

impl Compressor {
    pub(crate) fn compile(from: &filter::Compressor) -> Result<Self, FieldError> {
        refuse_fields!(from, choose_first);
        let library = from.compressor_library.as_ref();
        let library = library.ok_or_else(|| FieldError::new("compressor_library", "is missing"))?;
        let request = from.request_direction_config.as_ref();
        let request = request.map(|each| direction::common(each.common_config.as_ref())).transpose();
        let mut compressor = Self {
            library: library.name.as_str().into(),
            settings: settings(library).within("compressor_library")?,
            request: request.within("request_direction_config")?,
            response: DirectionRule::flat(
                from.runtime_enabled.as_ref(),
                from.content_length.as_ref(),
                &from.content_type,
            ),
            etag: if from.disable_on_etag_header { Etag::Kept } else { Etag::Removed },
            removes_accept_encoding: from.remove_accept_encoding_header,
            codes: Vec::new(),
            response_prefix: "",
            counters: OnceLock::new(),
        };
        if let Some(response) = &from.response_direction_config {
            compressor.set_response(response).within("response_direction_config")?;
        }
        Ok(compressor)
    }

    /// The newer form; the older fields beside it do not count.
    fn set_response(&mut self, from: &filter::compressor::ResponseDirectionConfig) -> Result<(), FieldError> {
        refuse_fields!(from, status_header_enabled);
        self.response = direction::common(from.common_config.as_ref())?;
        self.etag = match (from.weaken_etag_on_compress, from.disable_on_etag_header) {
            (true, _) => Etag::Weakened,
            (false, true) => Etag::Kept,
            (false, false) => Etag::Removed,
        };
        self.removes_accept_encoding = from.remove_accept_encoding_header;
        for (index, code) in from.uncompressible_response_codes.iter().enumerate() {
            if !(200..600).contains(code) {
                return Err(FieldError::new("", "is no status code of an answer; give one from 200 to 599"))
                    .within_item("uncompressible_response_codes", index);
            }
        }
        self.codes.clone_from(&from.uncompressible_response_codes);
        self.response_prefix = "response.";
        Ok(())
    }

    fn counters(&self, registry: &Registry, manager: &str) -> &Counters {
        self.counters.get_or_init(|| Counters::new(registry, manager, &self.library, self.response_prefix))
    }
}

impl CompressorOverride {
    pub(crate) fn compile(from: &filter::CompressorPerRoute) -> Result<Self, FieldError> {
        use filter::compressor_per_route::Override;
        match &from.r#override {
            Some(Override::Disabled(true)) => Ok(Self::Disabled),
            Some(Override::Overrides(each)) => {
                let response = each.response_direction_config.as_ref();
                let removes = response.and_then(|response| response.remove_accept_encoding_header.as_ref());
                let library = each.compressor_library.as_ref().map(settings).transpose();
                Ok(Self::Enabled {
                    removes_accept_encoding: removes.map(|flag| flag.value),
                    settings: library.within("overrides.compressor_library")?,
                })
            }
            _ => Err(FieldError::new("override", "give disabled: true or overrides")),
        }
    }
}

/// Envoy's `memory_level`, `window_bits` and `chunk_size` save memory there; here every stream has the same, and what comes
/// out can be read all the same. They are checked, so that a file that Envoy refuses is refused.
fn settings(from: &TypedExtensionConfig) -> Result<GzipSettings, FieldError> {
    let any = from.typed_config.as_ref().ok_or_else(|| FieldError::new("typed_config", "is missing"))?;
    let any = unwrap_typed_struct(any).within("typed_config")?;
    direction::known_library(&any.type_url)?;
    let from: gzip::Gzip = proto::decode(&any)?;
    in_range(from.memory_level.as_ref(), 1..=9, "memory_level")?;
    in_range(from.window_bits.as_ref(), 9..=15, "window_bits")?;
    in_range(from.chunk_size.as_ref(), 4096..=65536, "chunk_size")?;
    let number = |value: i32, most: u8, field: &str| {
        let number = u8::try_from(value).ok().filter(|number| *number <= most);
        number.ok_or_else(|| FieldError::new(field, format!("{value} is unknown; give 0 to {most}")))
    };
    let level = number(from.compression_level, 9, "typed_config.compression_level")?;
    Ok(GzipSettings {
        level: if level == 0 { GzipSettings::default().level } else { level },
        strategy: number(from.compression_strategy, 4, "typed_config.compression_strategy")?,
    })
}

fn in_range(
    value: Option<&UInt32Value>,
    range: std::ops::RangeInclusive<u32>,
    field: &str,
) -> Result<(), FieldError> {
    let outside = value.is_some_and(|value| !range.contains(&value.value));
    let reason = format!("is out of range; give {} to {}", range.start(), range.end());
    refuse_if(outside, &format!("typed_config.{field}"), &reason)
}
