//! PeerAuthentication: whether connections into a workload must be mutual TLS.

use std::collections::BTreeMap;

use crate::istio::IstioStatus;
use crate::istio::types::WorkloadSelector;
use crate::schema::rules;

shape! {
    /// mTLS into the selected workloads.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = rules::rule(
        "portLevelMtls requires selector",
        "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? \
         self.selector.matchLabels : {}).size() > 0) : true",
    )))]
    pub struct PeerAuthentication {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Mode of every port; absent means as the wider scope says.
        pub mtls: Option<MutualTls>,
        /// Modes of single ports of the workload; needs a selector.
        #[shape(extend("minProperties" = 1, "x-kubernetes-validations" = rules::rule(
            "port must be between 1-65535",
            "self.all(key, 0 < int(key) && int(key) <= 65535)",
        )))]
        pub port_level_mtls: BTreeMap<u32, MutualTls>,
    }

    /// How connections are secured.
    #[derive(Eq)]
    pub struct MutualTls {
        /// The mode.
        pub mode: MutualTlsMode,
    }
}

string_enum! {
    /// Whether connections must be mutual TLS.
    pub enum MutualTlsMode {
        /// As the wider scope says; PERMISSIVE where none does.
        Unset = "UNSET",
        /// No TLS.
        Disable = "DISABLE",
        /// Both plaintext and mutual TLS.
        Permissive = "PERMISSIVE",
        /// Mutual TLS only.
        Strict = "STRICT",
    }
}

resource!(
    PeerAuthentication,
    "security.istio.io",
    "PeerAuthentication",
    "peerauthentications",
    true,
    ["v1", "v1beta1"],
    status = IstioStatus
);
