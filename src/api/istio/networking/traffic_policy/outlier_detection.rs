//! When an endpoint is taken out of load balancing for a while.

use crate::Duration;

shape! {
    /// Conditions for taking an endpoint out.
    #[derive(Eq)]
    pub struct OutlierDetection {
        /// Deprecated: as `consecutiveGatewayErrors`.
        pub consecutive_errors: i32,
        /// Whether failures to connect are counted apart from answers with errors.
        pub split_external_local_origin_errors: bool,
        /// Failures to connect in a row; absent means 5. Needs `splitExternalLocalOriginErrors`.
        #[shape(extend("nullable" = true))]
        pub consecutive_local_origin_failures: Option<u32>,
        /// Answers 502, 503 or 504 in a row; zero disables.
        #[shape(extend("nullable" = true))]
        pub consecutive_gateway_errors: Option<u32>,
        /// Answers 5xx in a row; absent means 5, zero disables.
        #[shape(name = "consecutive5xxErrors")]
        #[shape(extend("nullable" = true))]
        pub consecutive_5xx_errors: Option<u32>,
        /// Time between sweeps; absent means 10 s.
        pub interval: Option<Duration>,
        /// Shortest time out; absent means 30 s. It grows with every time the endpoint was taken out.
        pub base_ejection_time: Option<Duration>,
        /// Most endpoints out, in percent; zero means 10.
        pub max_ejection_percent: i32,
        /// Below this percentage of healthy endpoints, all are used.
        pub min_health_percent: i32,
        /// Status codes that count as errors instead of 5xx.
        #[shape(inner(range(min = 100, max = 599)))]
        pub outlier_detection_http_error_codes: Vec<u32>,
    }
}
