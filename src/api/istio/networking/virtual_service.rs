//! VirtualService: where requests for a host go, and what is done to them on the way.

use super::common::{Destination, Percent};
use crate::Duration;
use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::istio::types::StringMatch;
use crate::schema::rules;

shape! {
    /// Routes for one or more hosts.
    pub struct VirtualService {
        /// Hosts traffic is sent to: names, wildcards (`*.example.com`) or IPs. Empty only in a delegate.
        pub hosts: Vec<String>,
        /// Gateways (`[namespace/]name`) the routes apply to; empty means `mesh`, every sidecar.
        pub gateways: Vec<String>,
        /// Routes of HTTP traffic, first match wins.
        pub http: Vec<HttpRoute>,
        /// Routes of TLS traffic that is passed through, by SNI; first match wins.
        pub tls: Vec<TlsRoute>,
        /// Routes of other TCP traffic, first match wins.
        pub tcp: Vec<TcpRoute>,
        /// Namespaces that see it: `.`, `*` or names; empty means the mesh's default.
        pub export_to: Vec<String>,
    }

    /// What happens to HTTP requests that match. What few routes have is boxed: a mesh has many routes.
    pub struct HttpRoute {
        /// Name shown in access logs and metrics.
        pub name: String,
        /// Conditions, any of which suffices; empty matches everything.
        pub r#match: Vec<HttpMatchRequest>,
        /// Weighted destinations.
        pub route: Vec<HttpRouteDestination>,
        /// Answer with a redirect.
        pub redirect: Option<Box<HttpRedirect>>,
        /// Answer with a fixed response.
        pub direct_response: Option<Box<HttpDirectResponse>>,
        /// Take the routes of another VirtualService.
        pub delegate: Option<Box<Delegate>>,
        /// Change path and authority before forwarding.
        pub rewrite: Option<Box<HttpRewrite>>,
        /// Time allowed for the whole request; absent disables it.
        pub timeout: Option<Duration>,
        /// How failures are tried again; absent means the mesh's default.
        pub retries: Option<Box<HttpRetry>>,
        /// Faults to inject.
        pub fault: Option<Box<HttpFaultInjection>>,
        /// Copy requests to this destination (`mirrors` is its successor).
        pub mirror: Option<Box<Destination>>,
        /// Deprecated: whole percents of requests to copy.
        #[shape(extend("nullable" = true))]
        pub mirror_percent: Option<u32>,
        /// Deprecated spelling of `mirrorPercent`.
        #[shape(name = "mirror_percent")]
        #[shape(extend("nullable" = true))]
        pub mirror_percent_snake: Option<u32>,
        /// Share of requests copied to `mirror`; absent means all.
        pub mirror_percentage: Option<Percent>,
        /// Destinations that get a copy.
        pub mirrors: Vec<HttpMirrorPolicy>,
        /// Cross-origin resource sharing.
        pub cors_policy: Option<Box<CorsPolicy>>,
        /// Changes of headers.
        pub headers: Option<Box<Headers>>,
    }

    /// Conditions on a request, all of which must hold.
    pub struct HttpMatchRequest {
        /// Name, appended to the route's in access logs.
        pub name: String,
        /// Path with its query removed.
        pub uri: Option<StringMatch>,
        /// Scheme.
        pub scheme: Option<StringMatch>,
        /// Method.
        pub method: Option<StringMatch>,
        /// Host header.
        pub authority: Option<StringMatch>,
        /// Headers by lower-case name; an empty match asks for presence.
        pub headers: SortedMap<String, StringMatch>,
        /// Headers that must not match.
        pub without_headers: SortedMap<String, StringMatch>,
        /// Query parameters by name.
        pub query_params: SortedMap<String, StringMatch>,
        /// Port the request was sent to; zero means any.
        pub port: u32,
        /// Labels of the client's workload.
        pub source_labels: SortedMap<String, String>,
        /// Namespace of the client's workload.
        pub source_namespace: String,
        /// Gateways the condition is for; empty means the VirtualService's.
        pub gateways: Vec<String>,
        /// Whether `uri` ignores case (exact and prefix only).
        pub ignore_uri_case: bool,
        /// Prefix of the statistics kept for this route.
        pub stat_prefix: String,
    }

    /// A weighted destination.
    #[shape(extend("required" = ["destination"]))]
    pub struct HttpRouteDestination {
        /// Where to.
        pub destination: Destination,
        /// Share of the sum of weights; a single destination may leave it out.
        pub weight: i32,
        /// Changes of headers for this destination alone.
        pub headers: Option<Box<Headers>>,
    }

    /// Changes of request and response headers.
    #[derive(Eq)]
    pub struct Headers {
        /// On the way to the destination.
        pub request: Option<HeaderOperations>,
        /// On the way back.
        pub response: Option<HeaderOperations>,
    }

    /// What is done to headers.
    #[derive(Eq)]
    pub struct HeaderOperations {
        /// Replace the header's values by this one.
        pub set: SortedMap<String, String>,
        /// Append this value.
        pub add: SortedMap<String, String>,
        /// Remove the header.
        pub remove: Vec<String>,
    }

    /// Another VirtualService whose routes are put here.
    #[derive(Eq)]
    pub struct Delegate {
        /// Its name.
        pub name: String,
        /// Its namespace; empty means the same.
        pub namespace: String,
    }

    /// A redirect.
    #[shape(extend("oneOf" = rules::one_of(&["port", "derivePort"])))]
    pub struct HttpRedirect {
        /// New path, or empty to keep it.
        pub uri: String,
        /// Replaces the matched prefix of the path.
        pub prefix_rewrite: String,
        /// New authority, or empty to keep it.
        pub authority: String,
        /// New port.
        pub port: Option<u32>,
        /// Where the new port comes from.
        pub derive_port: Option<RedirectPortSelection>,
        /// New scheme, or empty to keep it.
        pub scheme: String,
        /// Status code; zero means 301.
        pub redirect_code: u32,
    }

    /// A fixed response.
    #[shape(extend("required" = ["status"]))]
    pub struct HttpDirectResponse {
        /// Status code.
        pub status: u32,
        /// Body.
        pub body: Option<HttpBody>,
    }

    /// Body of a fixed response.
    #[shape(extend("oneOf" = rules::one_of(&["string", "bytes"])))]
    pub struct HttpBody {
        /// As text.
        pub string: Option<String>,
        /// As bytes in base64.
        #[shape(extend("format" = "byte"))]
        pub bytes: Option<String>,
    }

    /// Changes of path and authority.
    #[derive(Eq)]
    pub struct HttpRewrite {
        /// New path, or the new prefix where a prefix matched.
        pub uri: String,
        /// New authority.
        pub authority: String,
        /// New path by regular expression.
        pub uri_regex_rewrite: Option<RegexRewrite>,
    }

    /// A substitution by regular expression.
    #[derive(Eq)]
    pub struct RegexRewrite {
        /// RE2 expression.
        pub r#match: String,
        /// Replacement; `\1` names a capture group.
        pub rewrite: String,
    }

    /// When and how often a request is tried again.
    #[derive(Eq)]
    pub struct HttpRetry {
        /// How many more times; zero disables retries.
        pub attempts: i32,
        /// Time allowed for each try; absent means the route's timeout.
        pub per_try_timeout: Option<Duration>,
        /// Envoy's retry conditions and status codes, separated by commas.
        pub retry_on: String,
        /// Whether other localities may be tried; absent means the mesh's default.
        #[shape(extend("nullable" = true))]
        pub retry_remote_localities: Option<bool>,
        /// Whether hosts that failed already are avoided; absent means true.
        #[shape(extend("nullable" = true))]
        pub retry_ignore_previous_hosts: Option<bool>,
        /// Smallest pause between tries; absent means 25 ms.
        pub backoff: Option<Duration>,
    }

    /// Faults to inject.
    pub struct HttpFaultInjection {
        /// Wait before forwarding.
        pub delay: Option<FaultDelay>,
        /// Answer with an error.
        pub abort: Option<FaultAbort>,
    }

    /// A wait before forwarding.
    #[shape(extend("oneOf" = rules::one_of(&["fixedDelay", "exponentialDelay"])))]
    pub struct FaultDelay {
        /// How long.
        pub fixed_delay: Option<Duration>,
        /// Not implemented by Istio.
        pub exponential_delay: Option<Duration>,
        /// Deprecated: whole percents of requests.
        pub percent: i32,
        /// Share of requests; absent means all.
        pub percentage: Option<Percent>,
    }

    /// An error instead of the answer.
    #[shape(extend("oneOf" = rules::one_of(&["httpStatus", "grpcStatus", "http2Error"])))]
    pub struct FaultAbort {
        /// HTTP status.
        pub http_status: Option<i32>,
        /// gRPC status by name or number.
        pub grpc_status: Option<String>,
        /// Not implemented by Istio.
        pub http2_error: Option<String>,
        /// Share of requests; absent means all.
        pub percentage: Option<Percent>,
    }

    /// A destination that gets copies of requests.
    #[shape(extend("required" = ["destination"]))]
    pub struct HttpMirrorPolicy {
        /// Where to.
        pub destination: Destination,
        /// Share of requests; absent means all.
        pub percentage: Option<Percent>,
    }

    /// Cross-origin resource sharing.
    #[derive(Eq)]
    pub struct CorsPolicy {
        /// Deprecated: origins, exact.
        pub allow_origin: Vec<String>,
        /// Origins that may ask.
        pub allow_origins: Vec<StringMatch>,
        /// Methods that may be used.
        pub allow_methods: Vec<String>,
        /// Request headers that may be sent.
        pub allow_headers: Vec<String>,
        /// Response headers scripts may read.
        pub expose_headers: Vec<String>,
        /// How long a preflight answer may be kept.
        pub max_age: Option<Duration>,
        /// Whether credentials may be sent.
        #[shape(extend("nullable" = true))]
        pub allow_credentials: Option<bool>,
        /// What happens to preflights that match no origin.
        pub unmatched_preflights: UnmatchedPreflights,
    }

    /// Where TLS connections go that are passed through.
    #[shape(extend("required" = ["match"]))]
    pub struct TlsRoute {
        /// Conditions, any of which suffices.
        pub r#match: Vec<TlsMatchAttributes>,
        /// Weighted destinations.
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a TLS connection, all of which must hold.
    #[derive(Eq)]
    #[shape(extend("required" = ["sniHosts"]))]
    pub struct TlsMatchAttributes {
        /// Server names, exact or wildcard.
        pub sni_hosts: Vec<String>,
        /// Destination addresses in CIDR notation.
        pub destination_subnets: Vec<String>,
        /// Port the connection was made to; zero means any.
        pub port: u32,
        /// Labels of the client's workload.
        pub source_labels: SortedMap<String, String>,
        /// Gateways the condition is for; empty means the VirtualService's.
        pub gateways: Vec<String>,
        /// Namespace of the client's workload.
        pub source_namespace: String,
    }

    /// Where TCP connections go.
    pub struct TcpRoute {
        /// Conditions, any of which suffices; empty matches everything.
        pub r#match: Vec<L4MatchAttributes>,
        /// Weighted destinations.
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a connection, all of which must hold.
    #[derive(Eq)]
    pub struct L4MatchAttributes {
        /// Destination addresses in CIDR notation.
        pub destination_subnets: Vec<String>,
        /// Port the connection was made to; zero means any.
        pub port: u32,
        /// Deprecated: source address in CIDR notation.
        pub source_subnet: String,
        /// Labels of the client's workload.
        pub source_labels: SortedMap<String, String>,
        /// Gateways the condition is for; empty means the VirtualService's.
        pub gateways: Vec<String>,
        /// Namespace of the client's workload.
        pub source_namespace: String,
    }

    /// A weighted destination of connections.
    #[shape(extend("required" = ["destination"]))]
    pub struct RouteDestination {
        /// Where to.
        pub destination: Destination,
        /// Share of the sum of weights; a single destination may leave it out.
        pub weight: i32,
    }
}

string_enum! {
    /// Where a redirect's port comes from.
    pub enum RedirectPortSelection {
        /// 80 or 443, by the scheme.
        FromProtocolDefault = "FROM_PROTOCOL_DEFAULT",
        /// The port of the request.
        FromRequestPort = "FROM_REQUEST_PORT",
    }

    /// What happens to CORS preflights that match no origin.
    pub enum UnmatchedPreflights {
        /// As `FORWARD`.
        Unspecified = "UNSPECIFIED",
        /// Sent to the destination.
        Forward = "FORWARD",
        /// Answered by the proxy without CORS headers.
        Ignore = "IGNORE",
    }
}

resource!(
    VirtualService,
    "networking.istio.io",
    "VirtualService",
    "virtualservices",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
