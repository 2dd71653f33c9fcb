//! Namespace: read for its labels and annotations.

shape! {
    /// What keeps a namespace from going away.
    #[derive(Eq)]
    pub struct Namespace {
        /// Who must act before it may go.
        pub finalizers: Vec<String>,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct NamespaceStatus {
        /// `Active` or `Terminating`.
        pub phase: String,
    }
}

resource!(Namespace, "", "Namespace", "namespaces", false, ["v1"], status = NamespaceStatus);
