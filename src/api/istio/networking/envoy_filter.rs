//! EnvoyFilter: patches of the configuration generated for Envoy.

use super::common::LabelSelector;
use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::istio::types::PolicyTargetReference;
use crate::schema::rules;

shape! {
    /// Patches for the selected proxies.
    #[shape(extend("x-kubernetes-validations" =
        rules::selector_or_target("workloadSelector", &["workloadSelector", "targetRefs"])))]
    pub struct EnvoyFilter {
        /// Workloads it applies to; absent means the namespace.
        pub workload_selector: Option<LabelSelector>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Patches, applied in order.
        pub config_patches: Vec<EnvoyConfigObjectPatch>,
        /// Place among all filters, ascending.
        pub priority: i32,
    }

    /// One patch.
    pub struct EnvoyConfigObjectPatch {
        /// Kind of thing patched.
        pub apply_to: ApplyTo,
        /// Which ones; absent means all.
        pub r#match: Option<EnvoyConfigObjectMatch>,
        /// What is done to them.
        pub patch: Option<Patch>,
    }

    /// Which things are patched.
    #[shape(extend(
        "oneOf" = rules::one_of(&["listener", "routeConfiguration", "cluster", "waypoint"]),
        "x-kubernetes-validations" = rules::rule(
            "only support waypointMatch when context is WAYPOINT",
            "has(self.context) ? ((self.context == \"WAYPOINT\") ? has(self.waypoint) : !has(self.waypoint)) : \
             !has(self.waypoint)",
        )
    ))]
    pub struct EnvoyConfigObjectMatch {
        /// Direction of traffic.
        pub context: PatchContext,
        /// Which proxies.
        pub proxy: Option<ProxyMatch>,
        /// Which listeners.
        pub listener: Option<ListenerMatch>,
        /// Which routes.
        pub route_configuration: Option<RouteConfigurationMatch>,
        /// Which clusters.
        pub cluster: Option<ClusterMatch>,
        /// Which parts of a waypoint.
        pub waypoint: Option<WaypointMatch>,
    }

    /// Which proxies.
    #[derive(Eq)]
    pub struct ProxyMatch {
        /// RE2 expression on the Istio version.
        pub proxy_version: String,
        /// Node metadata that must be equal.
        pub metadata: SortedMap<String, String>,
    }

    /// Which listeners.
    #[derive(Eq)]
    pub struct ListenerMatch {
        /// Port; zero means any.
        pub port_number: u32,
        /// Name of a gateway's server port.
        pub port_name: String,
        /// Name of the listener.
        pub name: String,
        /// Which filter chain.
        pub filter_chain: Option<FilterChainMatch>,
        /// Name of a listener filter.
        pub listener_filter: String,
    }

    /// Which filter chain.
    #[derive(Eq)]
    pub struct FilterChainMatch {
        /// Name.
        pub name: String,
        /// Server name it matches.
        pub sni: String,
        /// Transport protocol it matches.
        pub transport_protocol: String,
        /// Application protocols it matches, separated by commas.
        pub application_protocols: String,
        /// Which network filter.
        pub filter: Option<FilterMatch>,
        /// Destination port it matches; zero means any.
        pub destination_port: u32,
        /// Name of the transport socket.
        pub transport_socket: String,
    }

    /// Which network filter.
    #[derive(Eq)]
    pub struct FilterMatch {
        /// Name.
        pub name: String,
        /// Which HTTP filter in it.
        pub sub_filter: Option<SubFilterMatch>,
    }

    /// Which HTTP filter.
    #[derive(Eq)]
    pub struct SubFilterMatch {
        /// Name.
        pub name: String,
    }

    /// Which routes.
    #[derive(Eq)]
    pub struct RouteConfigurationMatch {
        /// Port; zero means any.
        pub port_number: u32,
        /// Name of a gateway's server port.
        pub port_name: String,
        /// Gateway as `namespace/name`.
        pub gateway: String,
        /// Which virtual host.
        pub vhost: Option<VirtualHostMatch>,
        /// Name of the route configuration.
        pub name: String,
    }

    /// Which virtual host.
    #[derive(Eq)]
    pub struct VirtualHostMatch {
        /// Name.
        pub name: String,
        /// One of its domains.
        pub domain_name: String,
        /// Which route.
        pub route: Option<RouteMatch>,
    }

    /// Which route.
    #[derive(Eq)]
    pub struct RouteMatch {
        /// Name.
        pub name: String,
        /// What it does.
        pub action: RouteAction,
    }

    /// Which clusters.
    #[derive(Eq)]
    pub struct ClusterMatch {
        /// Port of the service; zero means any.
        pub port_number: u32,
        /// Host of the service.
        pub service: String,
        /// Subset of the service.
        pub subset: String,
        /// Name of the cluster.
        pub name: String,
    }

    /// Which parts of a waypoint.
    #[derive(Eq)]
    pub struct WaypointMatch {
        /// Which filter.
        pub filter: Option<FilterMatch>,
        /// Port of the service; zero means any.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub port_number: u32,
        /// Which route.
        pub route: Option<WaypointRouteMatch>,
    }

    /// Which route of a waypoint.
    #[derive(Eq)]
    pub struct WaypointRouteMatch {
        /// Name.
        pub name: String,
    }

    /// What is done.
    pub struct Patch {
        /// How.
        pub operation: PatchOperation,
        /// The value, in Envoy's JSON.
        #[shape(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
        pub value: Option<serde_json::Value>,
        /// Where an added filter goes.
        pub filter_class: FilterClass,
    }
}

string_enum! {
    /// Kind of thing patched.
    pub enum ApplyTo {
        /// Not said, which is an error.
        Invalid = "INVALID",
        /// Listener.
        Listener = "LISTENER",
        /// Filter chain of a listener.
        FilterChain = "FILTER_CHAIN",
        /// Network filter of a filter chain.
        NetworkFilter = "NETWORK_FILTER",
        /// HTTP filter of an HTTP connection manager.
        HttpFilter = "HTTP_FILTER",
        /// Route configuration.
        RouteConfiguration = "ROUTE_CONFIGURATION",
        /// Virtual host of a route configuration.
        VirtualHost = "VIRTUAL_HOST",
        /// Route of a virtual host.
        HttpRoute = "HTTP_ROUTE",
        /// Cluster.
        Cluster = "CLUSTER",
        /// Extension served by ECDS.
        ExtensionConfig = "EXTENSION_CONFIG",
        /// Bootstrap.
        Bootstrap = "BOOTSTRAP",
        /// Listener filter.
        ListenerFilter = "LISTENER_FILTER",
    }

    /// Direction of traffic.
    pub enum PatchContext {
        /// All.
        Any = "ANY",
        /// Into a sidecar's application.
        SidecarInbound = "SIDECAR_INBOUND",
        /// Out of a sidecar's application.
        SidecarOutbound = "SIDECAR_OUTBOUND",
        /// Gateways.
        Gateway = "GATEWAY",
        /// Waypoints.
        Waypoint = "WAYPOINT",
    }

    /// How a thing is patched.
    pub enum PatchOperation {
        /// Not said, which is an error.
        Invalid = "INVALID",
        /// Merge as protobuf does: lists are appended.
        Merge = "MERGE",
        /// Add to the end.
        Add = "ADD",
        /// Remove.
        Remove = "REMOVE",
        /// Insert before the matched one.
        InsertBefore = "INSERT_BEFORE",
        /// Insert after the matched one.
        InsertAfter = "INSERT_AFTER",
        /// Insert at the beginning.
        InsertFirst = "INSERT_FIRST",
        /// Put in the place of the matched one.
        Replace = "REPLACE",
        /// Merge, but replace lists.
        MergeAndReplaceList = "MERGE_AND_REPLACE_LIST",
    }

    /// Where an added filter goes.
    pub enum FilterClass {
        /// As the operation says.
        Unspecified = "UNSPECIFIED",
        /// After Istio's authentication.
        Authn = "AUTHN",
        /// After Istio's authorization.
        Authz = "AUTHZ",
        /// Before Istio's statistics.
        Stats = "STATS",
    }

    /// What a route does.
    pub enum RouteAction {
        /// Anything.
        Any = "ANY",
        /// Forwards.
        Route = "ROUTE",
        /// Redirects.
        Redirect = "REDIRECT",
        /// Answers itself.
        DirectResponse = "DIRECT_RESPONSE",
    }
}

impl ApplyTo {
    /// Full name of Envoy's message that the value of a patch is; `None` for what is not patched here.
    pub const fn message(self) -> Option<&'static str> {
        Some(match self {
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::ListenerFilter => "envoy.config.listener.v3.ListenerFilter",
            Self::FilterChain => "envoy.config.listener.v3.FilterChain",
            Self::NetworkFilter => "envoy.config.listener.v3.Filter",
            Self::HttpFilter => "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
            Self::RouteConfiguration => "envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHost => "envoy.config.route.v3.VirtualHost",
            Self::HttpRoute => "envoy.config.route.v3.Route",
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Bootstrap | Self::ExtensionConfig | Self::Invalid => return None,
        })
    }
}

resource!(
    EnvoyFilter,
    "networking.istio.io",
    "EnvoyFilter",
    "envoyfilters",
    true,
    ["v1alpha3"],
    status = IstioStatus
);
