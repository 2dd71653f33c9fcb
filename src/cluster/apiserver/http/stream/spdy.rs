//! SPDY/3.1, server side, as far as Kubernetes speaks it: the client opens streams, both sides send data and half-close.
//!
//! Clients of Kubernetes have no SPDY flow control: they neither send nor heed `WINDOW_UPDATE`. What slows a sender down is the
//! connection underneath: each stream has a bounded queue, and a full one stops the reading of the connection.

mod connection;
mod frame;
mod header_block;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use connection::{Transport, serve};
pub(super) use stream::{Outgoing, SpdyStream};

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ProtocolError {
    #[error("a frame of SPDY version {0}, this server speaks 3")]
    Version(u16),
    #[error("a frame of {length} bytes, at most {limit} are accepted")]
    FrameTooLong { length: usize, limit: usize },
    #[error("a frame of type {0} is too short")]
    FrameTooShort(u16),
    #[error("a header block that is not zlib data with SPDY's dictionary")]
    Compression,
    #[error("a header block of more than {0} bytes")]
    HeadersTooLong(usize),
    #[error("a header block that ends too early or is not UTF-8")]
    Headers,
}
