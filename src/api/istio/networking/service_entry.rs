//! ServiceEntry: a service the platform does not know.

use super::common::LabelSelector;
use super::workload_entry::WorkloadEntry;
use crate::istio::status::{AnalysisMessageBase, IstioCondition};
use crate::schema::rules;

shape! {
    /// A service added to the mesh.
    #[shape(extend("required" = ["hosts"], "x-kubernetes-validations" = service_entry_rules()))]
    pub struct ServiceEntry {
        /// Names of the service.
        #[shape(
            length(min = 1, max = 256),
            extend("items" = serde_json::json!({
                "type": "string",
                "x-kubernetes-validations": rules::rule("hostname cannot be wildcard", "self != \"*\""),
            }))
        )]
        pub hosts: Vec<String>,
        /// Virtual IPs or CIDRs.
        #[shape(length(max = 256), inner(length(max = 64)))]
        pub addresses: Vec<String>,
        /// Ports.
        #[shape(length(max = 256), extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = rules::rule(
                "port number cannot be duplicated",
                "self.all(l1, self.exists_one(l2, l1.number == l2.number))",
            )
        ))]
        pub ports: Vec<ServicePort>,
        /// Whether it belongs to the mesh.
        pub location: Location,
        /// How addresses of endpoints are found.
        pub resolution: Resolution,
        /// Its endpoints.
        #[shape(length(max = 4096))]
        pub endpoints: Vec<WorkloadEntry>,
        /// Pods and WorkloadEntries that are its endpoints.
        pub workload_selector: Option<LabelSelector>,
        /// Namespaces that see it: `.`, `*` or names; empty means the mesh's default.
        pub export_to: Vec<String>,
        /// Names, one of which a server's certificate must carry.
        pub subject_alt_names: Vec<String>,
    }

    /// A port of the service.
    #[derive(Eq)]
    #[shape(extend("required" = ["number", "name"]))]
    pub struct ServicePort {
        /// Number.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub number: u32,
        /// Protocol: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS, in any case.
        #[shape(length(max = 256))]
        pub protocol: String,
        /// Name.
        #[shape(length(max = 256))]
        pub name: String,
        /// Port of the endpoints; zero means the same.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub target_port: u32,
    }

    /// State of a ServiceEntry.
    pub struct ServiceEntryStatus {
        /// Current state, one entry per type.
        pub conditions: Vec<IstioCondition>,
        /// Findings of the analysis.
        pub validation_messages: Vec<AnalysisMessageBase>,
        /// The generation these words are about (a number; some writers send text).
        #[shape(schema_with = crate::istio::status::int_or_string)]
        pub observed_generation: Option<serde_json::Value>,
        /// Virtual IPs the control plane has chosen.
        pub addresses: Vec<ServiceEntryAddress>,
    }

    /// A virtual IP the control plane has chosen.
    #[derive(Eq)]
    pub struct ServiceEntryAddress {
        /// The IP.
        pub value: String,
        /// The host it stands for; empty means every host.
        pub host: String,
    }
}

string_enum! {
    /// Whether a service belongs to the mesh.
    pub enum Location {
        /// No: it has no sidecars.
        MeshExternal = "MESH_EXTERNAL",
        /// Yes.
        MeshInternal = "MESH_INTERNAL",
    }

    /// How addresses of endpoints are found.
    pub enum Resolution {
        /// The address the client asked for.
        None = "NONE",
        /// As listed.
        Static = "STATIC",
        /// By DNS; every address is an endpoint.
        Dns = "DNS",
        /// By DNS; the first address is used for new connections.
        DnsRoundRobin = "DNS_ROUND_ROBIN",
        /// By DNS of the name asked for, which a wildcard host covers.
        DynamicDns = "DYNAMIC_DNS",
    }
}

fn service_entry_rules() -> serde_json::Value {
    rules::rules(&[
        (
            "only one of WorkloadSelector or Endpoints can be set",
            "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1",
        ),
        (
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
            "!((has(self.addresses) ? self.addresses : []).exists(k, k.contains(\"/\")) && \
             !((has(self.resolution) ? self.resolution : \"NONE\") in [\"STATIC\", \"NONE\"]))",
        ),
        (
            "NONE mode cannot set endpoints",
            "((has(self.resolution) ? self.resolution : \"NONE\") == \"NONE\") ? !has(self.endpoints) : true",
        ),
        (
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
            "((has(self.resolution) ? self.resolution : \"\") == \"DNS_ROUND_ROBIN\") ? \
             ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true",
        ),
    ])
}

resource!(
    ServiceEntry,
    "networking.istio.io",
    "ServiceEntry",
    "serviceentries",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = ServiceEntryStatus
);
