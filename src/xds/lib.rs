//! The aggregated discovery service both ways: delta and state of the world, nonces, ACK and NACK.
//!
//! Does not know what a resource means.
