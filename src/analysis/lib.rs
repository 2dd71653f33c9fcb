//! Findings from a snapshot: one file per message.
//!
//! Pure: a snapshot in, messages out; never a `Result`, never I/O.
