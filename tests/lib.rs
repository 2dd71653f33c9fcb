//! The harness that the end-to-end, interop and conformance tests share.
