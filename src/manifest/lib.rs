//! YAML to YAML: profiles and their overlays, rendered installations, and the patch that puts a sidecar into a pod.
//!
//! Everything here is pure: values in, values out. No cluster, no file system, no clock.

pub mod inject;
pub mod profile;
pub mod render;
