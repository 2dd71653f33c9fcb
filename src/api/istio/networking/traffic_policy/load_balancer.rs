//! How an endpoint of the destination is chosen.

use std::collections::BTreeMap;

use crate::Duration;
use crate::schema::rules;

shape! {
    /// How an endpoint is chosen.
    #[shape(extend("oneOf" = rules::one_of(&["simple", "consistentHash", "backendUtilization"])))]
    pub struct LoadBalancerSettings {
        /// One of the plain algorithms.
        pub simple: Option<SimpleLb>,
        /// The same client keeps the same endpoint.
        pub consistent_hash: Option<ConsistentHashLb>,
        /// By the load endpoints report; accepted and, as in Istio, not in effect.
        pub backend_utilization: Option<BackendUtilizationLb>,
        /// Preference of near endpoints.
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
        /// Preference of the same zone in proportion to the callers there.
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
        /// Deprecated: length of `warmup`.
        pub warmup_duration_secs: Option<Duration>,
        /// New endpoints get traffic slowly.
        pub warmup: Option<WarmupConfiguration>,
    }

    /// The same client keeps the same endpoint.
    #[shape(extend("allOf" = serde_json::json!([
        { "oneOf": rules::one_of(&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"]) },
        { "oneOf": rules::one_of(&["ringHash", "maglev"]) },
    ])))]
    pub struct ConsistentHashLb {
        /// By a header.
        pub http_header_name: Option<String>,
        /// By a cookie, which the proxy sets where it is missing.
        pub http_cookie: Option<HttpCookie>,
        /// By the client's address.
        pub use_source_ip: Option<bool>,
        /// By a query parameter.
        pub http_query_parameter_name: Option<String>,
        /// Ketama ring.
        pub ring_hash: Option<RingHash>,
        /// Maglev table.
        pub maglev: Option<Maglev>,
        /// Deprecated: as `ringHash.minimumRingSize`.
        pub minimum_ring_size: u64,
    }

    /// A cookie to hash.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"]))]
    pub struct HttpCookie {
        /// Name.
        pub name: String,
        /// Path it is set for.
        pub path: String,
        /// Life of a cookie the proxy sets; zero means the browser's session.
        #[shape(like = String)]
        pub ttl: Option<Duration>,
        /// More attributes of a cookie the proxy sets.
        pub attributes: Vec<CookieAttribute>,
    }

    /// An attribute of a cookie.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"]))]
    pub struct CookieAttribute {
        /// Name.
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// Ketama ring.
    #[derive(Eq)]
    pub struct RingHash {
        /// Smallest number of points; zero means 1024.
        pub minimum_ring_size: u64,
    }

    /// Maglev table.
    #[derive(Eq)]
    pub struct Maglev {
        /// Size, a prime below 5,000,011; zero means 65537.
        pub table_size: u64,
    }

    /// Choice by the load endpoints report.
    #[derive(Eq)]
    pub struct BackendUtilizationLb {
        /// Names of the metrics.
        pub metric_names_for_computing_utilization: Vec<String>,
        /// Percentage added for errors.
        pub error_utilization_penalty_percent: u32,
        /// Reports needed before weights are used.
        #[shape(like = String)]
        pub weight_stabilization_period: Option<Duration>,
        /// After this silence weights are forgotten.
        #[shape(like = String)]
        pub weight_expiration_period: Option<Duration>,
        /// Time between computations.
        #[shape(like = String)]
        pub weight_update_period: Option<Duration>,
    }

    /// Preference of near endpoints; the three ways exclude each other.
    #[derive(Eq)]
    pub struct LocalityLoadBalancerSetting {
        /// Explicit shares.
        pub distribute: Vec<LocalityDistribute>,
        /// Where traffic goes when a region is unhealthy.
        pub failover: Vec<LocalityFailover>,
        /// Labels whose agreement makes an endpoint near, most important first.
        pub failover_priority: Vec<String>,
        /// Whether locality is used; absent means yes.
        #[shape(extend("nullable" = true))]
        pub enabled: Option<bool>,
    }

    /// Shares of traffic from one locality.
    #[derive(Eq)]
    pub struct LocalityDistribute {
        /// Locality of the client: `region/zone/subzone`, with `*` at the end.
        pub from: String,
        /// Localities of endpoints and their percentages, 100 in sum.
        pub to: BTreeMap<String, u32>,
    }

    /// Failover from one region to another.
    #[derive(Eq)]
    pub struct LocalityFailover {
        /// Region that fails.
        pub from: String,
        /// Region that takes over.
        pub to: String,
    }

    /// Preference of the same zone.
    #[derive(Eq)]
    pub struct ZoneAwareLoadBalancerSetting {
        /// Whether it is used.
        #[shape(extend("nullable" = true))]
        pub enabled: Option<bool>,
        /// Where traffic goes when a region is unhealthy.
        pub failover: Vec<LocalityFailover>,
        /// Labels whose agreement makes an endpoint near.
        pub failover_priority: Vec<String>,
        /// Fewest endpoints for zones to matter.
        #[shape(range(min = 1), extend("nullable" = true))]
        pub min_cluster_size: Option<u32>,
    }

    /// New endpoints get traffic slowly.
    #[shape(extend("required" = ["duration"]))]
    pub struct WarmupConfiguration {
        /// How long.
        pub duration: Duration,
        /// Share at the beginning; absent means 10.
        #[shape(range(min = 0, max = 100), extend("nullable" = true))]
        pub minimum_percent: Option<f64>,
        /// Curve of the growth; absent means 1, linear.
        #[shape(range(min = 0), extend("nullable" = true))]
        pub aggression: Option<f64>,
    }
}

string_enum! {
    /// The plain algorithms.
    pub enum SimpleLb {
        /// As the mesh says: least requests.
        Unspecified = "UNSPECIFIED",
        /// Deprecated: as `LEAST_REQUEST`.
        LeastConn = "LEAST_CONN",
        /// Any healthy endpoint.
        Random = "RANDOM",
        /// The address the client asked for.
        Passthrough = "PASSTHROUGH",
        /// One after the other.
        RoundRobin = "ROUND_ROBIN",
        /// The idler of two.
        LeastRequest = "LEAST_REQUEST",
    }
}
