//! MutatingWebhookConfiguration: who may change objects on their way into the API server.

use super::secret::ByteString;
use super::selector::LabelSelector;

shape! {
    /// A list of webhooks.
    #[derive(Eq)]
    pub struct MutatingWebhookConfiguration {
        /// The webhooks.
        pub webhooks: Vec<MutatingWebhook>,
    }

    /// One webhook.
    #[derive(Eq)]
    pub struct MutatingWebhook {
        /// Name, fully qualified.
        pub name: String,
        /// Where it is.
        pub client_config: WebhookClientConfig,
        /// Which requests it sees.
        pub rules: Vec<RuleWithOperations>,
        /// `Fail` (also when empty) or `Ignore`.
        pub failure_policy: String,
        /// Which namespaces it is for.
        pub namespace_selector: LabelSelector,
        /// Which objects it is for.
        pub object_selector: LabelSelector,
        /// `None` or `NoneOnDryRun`.
        pub side_effects: String,
        /// Seconds allowed; zero means 10.
        pub timeout_seconds: i32,
        /// Versions of AdmissionReview it understands.
        pub admission_review_versions: Vec<String>,
        /// `Never` (also when empty) or `IfNeeded`.
        pub reinvocation_policy: String,
        /// `Equivalent` (also when empty) or `Exact`.
        pub match_policy: String,
    }

    /// Where a webhook is.
    #[derive(Eq)]
    pub struct WebhookClientConfig {
        /// By URL.
        pub url: String,
        /// By Service.
        pub service: Option<ServiceReference>,
        /// CAs that verify it, PEM.
        pub ca_bundle: ByteString,
    }

    /// A Service, port and path.
    #[derive(Eq)]
    pub struct ServiceReference {
        /// Namespace.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Path.
        pub path: String,
        /// Port; zero means 443.
        pub port: u16,
    }

    /// Which requests.
    #[derive(Eq)]
    pub struct RuleWithOperations {
        /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
        pub operations: Vec<String>,
        /// Groups.
        pub api_groups: Vec<String>,
        /// Versions.
        pub api_versions: Vec<String>,
        /// Resources.
        pub resources: Vec<String>,
        /// `Cluster`, `Namespaced` or `*`.
        pub scope: String,
    }
}

resource!(
    MutatingWebhookConfiguration,
    "admissionregistration.k8s.io",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    false,
    ["v1"],
    flat = true
);
