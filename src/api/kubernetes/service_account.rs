//! ServiceAccount: the identity of pods.

shape! {
    /// What pods of the account get.
    #[derive(Eq)]
    pub struct ServiceAccount {
        /// Secrets for pulling images.
        pub image_pull_secrets: Vec<LocalObjectReference>,
        /// Whether pods get a token; absent means yes.
        pub automount_service_account_token: Option<bool>,
    }

    /// A pointer to an object of the same namespace.
    #[derive(Eq)]
    pub struct LocalObjectReference {
        /// Name.
        pub name: String,
    }
}

resource!(ServiceAccount, "", "ServiceAccount", "serviceaccounts", true, ["v1"], flat = true);
