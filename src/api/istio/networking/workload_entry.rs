//! WorkloadEntry: one workload outside Kubernetes, or one endpoint of a ServiceEntry.

use std::collections::BTreeMap;

use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::schema::rules;

shape! {
    /// One workload, by address.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = rules::rules(&[
        ("Address is required", "has(self.address) || has(self.network)"),
        UDS_WITHOUT_PORTS,
    ])))]
    pub struct WorkloadEntry {
        /// IP, host name or `unix:///path`; may be empty where `network` names a gateway.
        #[shape(length(max = 256), extend("x-kubernetes-validations" = address_rules()))]
        pub address: String,
        /// Ports of the workload by the service's port names.
        #[shape(extend("maxProperties" = 128, "x-kubernetes-validations" = port_name_rules()))]
        #[shape(extend("additionalProperties" = port_schema()))]
        pub ports: BTreeMap<String, u32>,
        /// Labels.
        #[shape(extend("maxProperties" = 256))]
        pub labels: SortedMap<String, String>,
        /// Network the address belongs to.
        #[shape(length(max = 2048))]
        pub network: String,
        /// Locality as `region/zone/subzone`.
        #[shape(length(max = 2048))]
        pub locality: String,
        /// Share among the endpoints of the same locality; zero means 1.
        pub weight: u32,
        /// Service account the workload runs as.
        #[shape(length(max = 253))]
        pub service_account: String,
    }
}

/// A socket has no ports.
pub(super) const UDS_WITHOUT_PORTS: (&str, &str) = (
    "UDS may not include ports",
    "(has(self.address) ? self.address : \"\").startsWith(\"unix://\") ? !has(self.ports) : true",
);

pub(super) fn address_rules() -> serde_json::Value {
    rules::rules(&[
        (
            "UDS must be an absolute path or abstract socket",
            "self.startsWith(\"unix://\") ? (self.substring(7, 8) == \"/\" || self.substring(7, 8) == \"@\") : true",
        ),
        ("UDS may not be a dir", "self.startsWith(\"unix://\") ? !self.endsWith(\"/\") : true"),
    ])
}

pub(super) fn port_name_rules() -> serde_json::Value {
    rules::rule(
        "port name must be valid",
        "self.all(key, size(key) < 63 && key.matches(\"^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$\"))",
    )
}

pub(super) fn port_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "integer",
        "minimum": 0,
        "maximum": u32::MAX,
        "x-kubernetes-validations": rules::port(),
    })
}

resource!(
    WorkloadEntry,
    "networking.istio.io",
    "WorkloadEntry",
    "workloadentries",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
