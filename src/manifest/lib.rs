//! YAML to YAML: profiles, rendering of the control plane and gateways, sidecar injection.
//!
//! Pure: values in, values out; no cluster access.
