//! What the filter counts, under Envoy's names.

use std::sync::Arc;

use crate::stats::{Counter, Registry};

/// Counters of one direction.
#[derive(Debug)]
pub(crate) struct DirectionCounters {
    pub(super) compressed: Arc<Counter>,
    pub(super) not_compressed: Arc<Counter>,
    pub(super) content_length_too_small: Arc<Counter>,
    pub(crate) total_uncompressed_bytes: Arc<Counter>,
    pub(crate) total_compressed_bytes: Arc<Counter>,
}

/// Counters of a filter in one connection manager.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) request: Arc<DirectionCounters>,
    pub(super) response: Arc<DirectionCounters>,
    pub(super) no_accept_header: Arc<Counter>,
    pub(super) header_identity: Arc<Counter>,
    pub(super) header_compressor_used: Arc<Counter>,
    pub(super) header_wildcard: Arc<Counter>,
    pub(super) header_not_valid: Arc<Counter>,
    pub(super) not_compressed_etag: Arc<Counter>,
}

impl DirectionCounters {
    fn new(registry: &Registry, prefix: &str) -> Arc<Self> {
        let of = |name: &str| registry.counter(&format!("{prefix}{name}"));
        Arc::new(Self {
            compressed: of("compressed"),
            not_compressed: of("not_compressed"),
            content_length_too_small: of("content_length_too_small"),
            total_uncompressed_bytes: of("total_uncompressed_bytes"),
            total_compressed_bytes: of("total_compressed_bytes"),
        })
    }
}

impl Counters {
    /// `response` = what comes before the names of the response's counters.
    pub(super) fn new(registry: &Registry, manager: &str, library: &str, response: &str) -> Self {
        let prefix = format!("http.{}.compressor.{library}.gzip.", manager.trim_end_matches(';'));
        let of = |name: &str| registry.counter(&format!("{prefix}{name}"));
        // Told, and always zero: with gzip alone no compressor is put behind another.
        drop(of("header_compressor_overshadowed"));
        Self {
            request: DirectionCounters::new(registry, &format!("{prefix}request.")),
            response: DirectionCounters::new(registry, &format!("{prefix}{response}")),
            no_accept_header: of("no_accept_header"),
            header_identity: of("header_identity"),
            header_compressor_used: of("header_compressor_used"),
            header_wildcard: of("header_wildcard"),
            header_not_valid: of("header_not_valid"),
            not_compressed_etag: of("not_compressed_etag"),
        }
    }
}
