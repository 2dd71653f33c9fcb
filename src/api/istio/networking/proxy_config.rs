//! ProxyConfig: settings of single proxies, as a resource.

use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::istio::types::WorkloadSelector;

shape! {
    /// Settings of the selected proxies.
    #[derive(Eq)]
    pub struct ProxyConfig {
        /// Workloads it applies to; absent means the namespace.
        pub selector: Option<WorkloadSelector>,
        /// Worker threads; absent means by CPU limit, zero all cores.
        #[shape(range(min = 0), extend("nullable" = true))]
        pub concurrency: Option<i32>,
        /// Environment of the proxy.
        #[shape(extend("additionalProperties" = serde_json::json!({ "type": "string", "maxLength": 2048 })))]
        pub environment_variables: SortedMap<String, String>,
        /// Image of the proxy.
        pub image: Option<ProxyImage>,
    }

    /// Image of the proxy.
    #[derive(Eq)]
    pub struct ProxyImage {
        /// `default`, `distroless` or `debug`.
        pub image_type: String,
    }
}

resource!(
    ProxyConfig,
    "networking.istio.io",
    "ProxyConfig",
    "proxyconfigs",
    true,
    ["v1beta1"],
    status = IstioStatus
);
