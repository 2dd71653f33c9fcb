//! A body that is compressed on its way: piece by piece, so that nobody waits for more than one.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;

use super::body::{Body, BodyError};
use crate::filter::compressor::DirectionCounters;
use crate::gzip::{Gzip, GzipSettings};

/// Bytes that are compressed before somebody gets to write.
const AT_ONCE: usize = 64 * 1024;

/// A body with its compressor.
#[derive(Debug)]
pub(crate) struct Compressed {
    pub(super) from: Body,
    /// `None` = the stream has ended.
    gzip: Option<Gzip>,
    counters: Arc<DirectionCounters>,
}

impl Body {
    /// From here on the body is a gzip stream of what it was.
    pub(crate) fn compress(&mut self, settings: GzipSettings, counters: Arc<DirectionCounters>) {
        let from = std::mem::replace(self, Self::Empty);
        let compressed = Compressed { from, gzip: Some(Gzip::new(settings)), counters };
        *self = Self::Compressed(Box::new(compressed));
    }
}

impl Compressed {
    pub(super) fn is_done(&self) -> bool {
        self.gzip.is_none()
    }

    /// The next piece; `None` = the end. Safe to drop and call again: when it waits, nothing that was read is held here.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(mut gzip) = self.gzip.take() else { return Ok(None) };
        let (mut out, mut taken) = (Vec::new(), 0);
        loop {
            let here = self.from.next().now_or_never();
            let piece = match here {
                Some(piece) => piece?,
                None if taken == 0 => {
                    self.gzip = Some(gzip);
                    let piece = self.from.next().await?;
                    gzip = self.gzip.take().ok_or(BodyError::Truncated)?;
                    piece
                }
                // Whoever waits for it gets what is there.
                None => {
                    gzip.flush(&mut out)?;
                    break;
                }
            };
            let Some(piece) = piece else {
                gzip.finish(&mut out)?;
                return Ok(Some(self.told(out)));
            };
            taken += piece.len();
            self.counters.total_uncompressed_bytes.add(piece.len() as u64);
            gzip.write(&piece, &mut out)?;
            if taken >= AT_ONCE {
                gzip.flush(&mut out)?;
                break;
            }
        }
        self.gzip = Some(gzip);
        Ok(Some(self.told(out)))
    }

    fn told(&self, out: Vec<u8>) -> Bytes {
        self.counters.total_compressed_bytes.add(out.len() as u64);
        out.into()
    }
}
