//! HTTPRoute: where requests of a host go.

use super::reference::{BackendObjectReference, ParentReference};

shape! {
    /// Routes of requests.
    #[derive(Eq)]
    pub struct HttpRoute {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference>,
        /// Hosts; empty means those of the listener.
        pub hostnames: Vec<String>,
        /// The rules.
        pub rules: Vec<HttpRouteRule>,
    }

    /// What happens to requests that match.
    #[derive(Eq)]
    pub struct HttpRouteRule {
        /// Name, for people.
        pub name: String,
        /// Conditions, any of which suffices; empty matches everything.
        pub matches: Vec<HttpRouteMatch>,
        /// Changes on the way.
        pub filters: Vec<RouteFilter>,
        /// Weighted destinations.
        pub backend_refs: Vec<RouteBackend>,
        /// Time limits.
        pub timeouts: Option<HttpRouteTimeouts>,
        /// How failures are tried again.
        pub retry: Option<HttpRouteRetry>,
    }

    /// Conditions on a request, all of which must hold.
    #[derive(Eq)]
    pub struct HttpRouteMatch {
        /// Path; absent means every path.
        pub path: Option<ValueMatch>,
        /// Headers.
        pub headers: Vec<ValueMatch>,
        /// Query parameters.
        pub query_params: Vec<ValueMatch>,
        /// Method; empty means any.
        pub method: String,
    }

    /// A condition on a path, header or parameter.
    #[derive(Eq)]
    pub struct ValueMatch {
        /// `Exact`, `PathPrefix` or `RegularExpression`; empty means `PathPrefix` of paths, `Exact` of others.
        pub r#type: String,
        /// Name of the header or parameter.
        pub name: String,
        /// Wanted value.
        pub value: Option<String>,
    }

    /// A change on the way.
    #[derive(Eq)]
    pub struct RouteFilter {
        /// Which of the fields counts.
        pub r#type: String,
        /// Headers of the request.
        pub request_header_modifier: Option<HeaderModifier>,
        /// Headers of the response.
        pub response_header_modifier: Option<HeaderModifier>,
        /// A copy of requests.
        pub request_mirror: Option<RequestMirror>,
        /// An answer with a redirect.
        pub request_redirect: Option<RequestRedirect>,
        /// Another path and host.
        pub url_rewrite: Option<UrlRewrite>,
        /// Cross-origin resource sharing.
        pub cors: Option<Cors>,
    }

    /// Cross-origin resource sharing.
    #[derive(Eq)]
    pub struct Cors {
        /// Origins that may ask: `https://example.com`, `https://*.example.com`, or `*` for all.
        pub allow_origins: Vec<String>,
        /// Methods that may be used, or `*`.
        pub allow_methods: Vec<String>,
        /// Request headers that may be sent, or `*`.
        pub allow_headers: Vec<String>,
        /// Response headers that scripts may read, or `*`.
        pub expose_headers: Vec<String>,
        /// Seconds for which a preflight answer may be kept; absent means 5.
        pub max_age: Option<i32>,
        /// Whether credentials may be sent; absent means not.
        pub allow_credentials: Option<bool>,
    }

    /// What is done to headers.
    #[derive(Eq)]
    pub struct HeaderModifier {
        /// Replaced.
        pub set: Vec<NamedValue>,
        /// Appended.
        pub add: Vec<NamedValue>,
        /// Removed.
        pub remove: Vec<String>,
    }

    /// A header.
    #[derive(Eq)]
    pub struct NamedValue {
        /// Name.
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// A copy of requests.
    #[derive(Eq)]
    pub struct RequestMirror {
        /// Where to.
        pub backend_ref: BackendObjectReference,
        /// Share in percent; absent means all.
        pub percent: Option<u32>,
        /// Share as a fraction.
        pub fraction: Option<Fraction>,
    }

    /// A fraction.
    #[derive(Eq)]
    pub struct Fraction {
        /// Upper part.
        pub numerator: u32,
        /// Lower part; absent means 100.
        pub denominator: Option<u32>,
    }

    /// A redirect.
    #[derive(Eq)]
    pub struct RequestRedirect {
        /// New scheme; empty keeps it.
        pub scheme: String,
        /// New host; empty keeps it.
        pub hostname: String,
        /// New path.
        pub path: Option<PathModifier>,
        /// New port.
        pub port: Option<u16>,
        /// Status code; absent means 302.
        pub status_code: Option<u32>,
    }

    /// Another path and host.
    #[derive(Eq)]
    pub struct UrlRewrite {
        /// New host; empty keeps it.
        pub hostname: String,
        /// New path.
        pub path: Option<PathModifier>,
    }

    /// A new path.
    #[derive(Eq)]
    pub struct PathModifier {
        /// `ReplaceFullPath` or `ReplacePrefixMatch`.
        pub r#type: String,
        /// The whole new path.
        pub replace_full_path: Option<String>,
        /// What the matched prefix becomes.
        pub replace_prefix_match: Option<String>,
    }

    /// A weighted destination.
    #[derive(Eq)]
    pub struct RouteBackend {
        /// API group; empty for the core group.
        pub group: String,
        /// Kind; empty means `Service`.
        pub kind: String,
        /// Namespace; empty means the route's.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Port.
        pub port: Option<u16>,
        /// Weight; absent means 1.
        pub weight: Option<i32>,
        /// Changes for this destination alone.
        pub filters: Vec<RouteFilter>,
    }

    /// Time limits, in the Gateway API's notation (`10s`, `500ms`).
    #[derive(Eq)]
    pub struct HttpRouteTimeouts {
        /// Of the whole request.
        pub request: String,
        /// Of one try.
        pub backend_request: String,
    }

    /// How failures are tried again.
    #[derive(Eq)]
    pub struct HttpRouteRetry {
        /// Status codes.
        pub codes: Vec<u32>,
        /// How often.
        pub attempts: Option<i32>,
        /// Pause before the first.
        pub backoff: String,
    }
}

resource!(HttpRoute, "gateway.networking.k8s.io", "HTTPRoute", "httproutes", true, ["v1", "v1beta1"]);
