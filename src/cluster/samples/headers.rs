//! The headers an application has to pass on so that spans of one request join into one trace, and the user's own.

use http::{HeaderMap, HeaderName};

/// Headers of tracing systems and of the user that travel along (Istio's distributed tracing documentation).
const PASSED_ON: &[&str] = &[
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "sw8",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
];

/// The part of an incoming request's headers that its outgoing requests carry. A header named `x-canary` and its like are the
/// tutorials' way of choosing a version, so every `x-` header of the user's that is not the proxy's own goes along too.
pub(super) fn passed_on(incoming: &HeaderMap) -> HeaderMap {
    let mut outgoing = HeaderMap::new();
    for (name, value) in incoming {
        if travels(name) {
            outgoing.append(name.clone(), value.clone());
        }
    }
    outgoing
}

fn travels(name: &HeaderName) -> bool {
    let name = name.as_str();
    let proxys_own = name.starts_with("x-envoy-") || name.starts_with("x-forwarded-");
    PASSED_ON.contains(&name) || (name.starts_with("x-") && !proxys_own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn traces_and_users_travel_and_hop_headers_stay() {
        let mut incoming = HeaderMap::new();
        for name in [
            "traceparent",
            "end-user",
            "x-canary",
            "host",
            "content-length",
            "x-forwarded-for",
            "x-envoy-attempt-count",
        ] {
            incoming.insert(name, HeaderValue::from_static("1"));
        }
        let outgoing = passed_on(&incoming);
        let mut names: Vec<&str> = outgoing.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["end-user", "traceparent", "x-canary"]);
    }
}
