//! AuthorizationPolicy: which requests a workload accepts.

use crate::istio::IstioStatus;
use crate::istio::types::{PolicyTargetReference, WorkloadSelector};
use crate::schema::rules;

shape! {
    /// Accepted or refused requests to the selected workloads.
    #[derive(Eq)]
    #[shape(extend(
        "oneOf" = rules::one_of(&["provider"]),
        "x-kubernetes-validations" =
            rules::selector_or_target("selector", &["selector", "targetRef", "targetRefs"])
    ))]
    pub struct AuthorizationPolicy {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Deprecated: the one object it attaches to.
        pub target_ref: Option<PolicyTargetReference>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Conditions, any of which suffices. None matches nothing; an empty rule matches everything.
        #[shape(length(max = 512))]
        pub rules: Vec<Rule>,
        /// What happens to requests that match.
        pub action: AuthorizationAction,
        /// Who decides (CUSTOM).
        pub provider: Option<AuthorizationProvider>,
    }

    /// An extension provider of the mesh configuration.
    #[derive(Eq)]
    pub struct AuthorizationProvider {
        /// Its name.
        pub name: String,
    }

    /// A condition: any of `from`, any of `to` and all of `when`.
    #[derive(Eq)]
    pub struct Rule {
        /// Clients; empty means any.
        #[shape(length(max = 512))]
        pub from: Vec<From>,
        /// Operations; empty means any.
        pub to: Vec<To>,
        /// Further conditions.
        pub when: Vec<Condition>,
    }

    /// A client.
    #[derive(Eq)]
    pub struct From {
        /// The client.
        pub source: Option<Source>,
    }

    /// An operation.
    #[derive(Eq)]
    pub struct To {
        /// The operation.
        pub operation: Option<Operation>,
    }

    /// A client: every field that is set must match, by any of its values.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = rules::rule(
        "Cannot set serviceAccounts with namespaces or principals",
        "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) &&\n\
         !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
    )))]
    pub struct Source {
        /// Identities as `<trust domain>/ns/<namespace>/sa/<service account>`.
        pub principals: Vec<String>,
        /// Identities that must not match.
        pub not_principals: Vec<String>,
        /// Token identities as `<iss>/<sub>`.
        pub request_principals: Vec<String>,
        /// Token identities that must not match.
        pub not_request_principals: Vec<String>,
        /// Namespaces.
        pub namespaces: Vec<String>,
        /// Namespaces that must not match.
        pub not_namespaces: Vec<String>,
        /// Addresses of the connection, IP or CIDR.
        pub ip_blocks: Vec<String>,
        /// Addresses that must not match.
        pub not_ip_blocks: Vec<String>,
        /// Original addresses (X-Forwarded-For, PROXY protocol), IP or CIDR.
        pub remote_ip_blocks: Vec<String>,
        /// Original addresses that must not match.
        pub not_remote_ip_blocks: Vec<String>,
        /// Service accounts as `[namespace/]name`.
        #[shape(length(max = 16), inner(length(max = 320)))]
        pub service_accounts: Vec<String>,
        /// Service accounts that must not match.
        #[shape(length(max = 16), inner(length(max = 320)))]
        pub not_service_accounts: Vec<String>,
        /// Trust domains.
        pub trust_domains: Vec<String>,
        /// Trust domains that must not match.
        pub not_trust_domains: Vec<String>,
    }

    /// An operation: every field that is set must match, by any of its values.
    #[derive(Eq)]
    pub struct Operation {
        /// Hosts.
        pub hosts: Vec<String>,
        /// Hosts that must not match.
        pub not_hosts: Vec<String>,
        /// Ports.
        pub ports: Vec<String>,
        /// Ports that must not match.
        pub not_ports: Vec<String>,
        /// Methods.
        pub methods: Vec<String>,
        /// Methods that must not match.
        pub not_methods: Vec<String>,
        /// Paths without query.
        pub paths: Vec<String>,
        /// Paths that must not match.
        pub not_paths: Vec<String>,
    }

    /// A condition on an attribute.
    #[derive(Eq)]
    #[shape(extend("required" = ["key"]))]
    pub struct Condition {
        /// Name of the attribute, such as `request.headers[version]`.
        pub key: String,
        /// Values, any of which must match.
        pub values: Vec<String>,
        /// Values, none of which may match.
        pub not_values: Vec<String>,
    }
}

string_enum! {
    /// What happens to requests that match.
    pub enum AuthorizationAction {
        /// They are accepted, all others refused.
        Allow = "ALLOW",
        /// They are refused.
        Deny = "DENY",
        /// They are noted.
        Audit = "AUDIT",
        /// The provider decides.
        Custom = "CUSTOM",
    }
}

resource!(
    AuthorizationPolicy,
    "security.istio.io",
    "AuthorizationPolicy",
    "authorizationpolicies",
    true,
    ["v1", "v1beta1"],
    status = IstioStatus
);
