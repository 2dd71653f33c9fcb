//! DestinationRule: how connections to a host are made once routing has chosen it.

use super::traffic_policy::TrafficPolicy;
use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::istio::types::WorkloadSelector;

shape! {
    /// Policies for traffic to one host.
    #[shape(extend("required" = ["host"]))]
    pub struct DestinationRule {
        /// Name of the service: a fully qualified host, a wildcard, or a short name completed with the rule's namespace.
        pub host: String,
        /// Policy of every port and subset that has none of its own.
        pub traffic_policy: Option<TrafficPolicy>,
        /// Named sets of the service's endpoints.
        pub subsets: Vec<Subset>,
        /// Namespaces that see it: `.`, `*` or names; empty means the mesh's default.
        pub export_to: Vec<String>,
        /// Client workloads it applies to; absent means all.
        pub workload_selector: Option<WorkloadSelector>,
    }

    /// A named set of the service's endpoints.
    #[shape(extend("required" = ["name"]))]
    pub struct Subset {
        /// Name, used by routes.
        pub name: String,
        /// Labels an endpoint must carry.
        pub labels: SortedMap<String, String>,
        /// Policy of this subset; each block that is set replaces the rule's.
        pub traffic_policy: Option<TrafficPolicy>,
    }
}

resource!(
    DestinationRule,
    "networking.istio.io",
    "DestinationRule",
    "destinationrules",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
