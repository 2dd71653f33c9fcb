//! References between objects, and who may make them across namespaces.

shape! {
    /// What a route attaches to.
    #[derive(Eq)]
    pub struct ParentReference {
        /// API group; empty means the Gateway API's, unless the kind is `Service`.
        pub group: String,
        /// Kind; empty means `Gateway`.
        pub kind: String,
        /// Namespace; empty means the route's.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Listener; empty means all.
        pub section_name: String,
        /// Port; absent means all.
        pub port: Option<u16>,
    }

    /// A Secret.
    #[derive(Eq)]
    pub struct SecretObjectReference {
        /// API group; empty for the core group.
        pub group: String,
        /// Kind; empty means `Secret`.
        pub kind: String,
        /// Namespace; empty means the object's.
        pub namespace: String,
        /// Name.
        pub name: String,
    }

    /// Settings in the same namespace.
    #[derive(Eq)]
    pub struct LocalParametersReference {
        /// API group; empty for the core group.
        pub group: String,
        /// Kind, such as `ConfigMap`.
        pub kind: String,
        /// Name.
        pub name: String,
    }

    /// A destination.
    #[derive(Eq)]
    pub struct BackendObjectReference {
        /// API group; empty for the core group.
        pub group: String,
        /// Kind; empty means `Service`.
        pub kind: String,
        /// Namespace; empty means the route's.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Port.
        pub port: Option<u16>,
    }

    /// References from other namespaces that a namespace allows.
    #[derive(Eq)]
    pub struct ReferenceGrant {
        /// Who may refer.
        pub from: Vec<ReferenceGrantFrom>,
        /// To what.
        pub to: Vec<ReferenceGrantTo>,
    }

    /// Who may refer.
    #[derive(Eq)]
    pub struct ReferenceGrantFrom {
        /// API group.
        pub group: String,
        /// Kind.
        pub kind: String,
        /// Namespace.
        pub namespace: String,
    }

    /// What may be referred to.
    #[derive(Eq)]
    pub struct ReferenceGrantTo {
        /// API group; empty for the core group.
        pub group: String,
        /// Kind.
        pub kind: String,
        /// Name; empty means all.
        pub name: String,
    }
}

resource!(
    ReferenceGrant,
    "gateway.networking.k8s.io",
    "ReferenceGrant",
    "referencegrants",
    true,
    ["v1beta1", "v1"]
);
