//! Node: read for its labels, which say where it is.

shape! {
    /// What a node is told.
    #[derive(Eq)]
    pub struct Node {
        /// Whether new pods are kept off it.
        pub unschedulable: bool,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct NodeStatus {
        /// Addresses.
        pub addresses: Vec<NodeAddress>,
    }

    /// An address of a node.
    #[derive(Eq)]
    pub struct NodeAddress {
        /// `InternalIP`, `ExternalIP` or `Hostname`.
        pub r#type: String,
        /// The address.
        pub address: String,
    }
}

resource!(Node, "", "Node", "nodes", false, ["v1"], status = NodeStatus);
