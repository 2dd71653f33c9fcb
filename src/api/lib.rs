//! Shapes on the wire and in YAML: Istio resources, the slice of Kubernetes a mesh reads, MeshConfig, Envoy protobufs and
//! their JSON mapping.
//!
//! No I/O, no async, no behaviour beyond (de)serialising and schema.
