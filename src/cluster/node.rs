//! The node agent: runs the pods that are bound to the node `sagene` as processes of this machine.

pub(crate) mod container_process;
