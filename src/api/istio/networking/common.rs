//! Small shapes that several networking kinds share.

use crate::SortedMap;
use crate::schema::rules;

shape! {
    /// A service, a subset of it and a port.
    #[derive(Eq, Hash)]
    #[shape(extend("required" = ["host"]))]
    pub struct Destination {
        /// Name of the service: a fully qualified host, or a short name completed with the namespace of the rule.
        pub host: String,
        /// Subset declared by the DestinationRule of the host.
        pub subset: String,
        /// Port of the service; may be left out where the service has only one.
        pub port: Option<PortSelector>,
    }

    /// A port by number.
    #[derive(Eq, Hash)]
    pub struct PortSelector {
        /// Port number of the service.
        pub number: u32,
    }

    /// A share of 100.
    pub struct Percent {
        /// 0 to 100, with decimals.
        pub value: f64,
    }

    /// Selects workloads by label; empty selects every workload in scope.
    #[derive(Eq)]
    pub struct LabelSelector {
        /// Labels that must all be present with these values.
        #[shape(extend(
            "maxProperties" = 256,
            "additionalProperties" = serde_json::json!({
                "type": "string",
                "maxLength": 63,
                "x-kubernetes-validations":
                    rules::rule("wildcard is not supported in selector", "!self.contains(\"*\")"),
            })
        ))]
        pub labels: SortedMap<String, String>,
    }
}

string_enum! {
    /// How a listener gets its traffic.
    pub enum CaptureMode {
        /// As the environment does it.
        Default = "DEFAULT",
        /// Redirected by the kernel.
        Iptables = "IPTABLES",
        /// Not captured: clients connect to the listener.
        None = "NONE",
    }
}
