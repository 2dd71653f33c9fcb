//! Rules of an HTTP route.

use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::{
    CorsPolicy, HttpDirectResponse, HttpMatchRequest, HttpRedirect, HttpRetry, HttpRewrite, HttpRoute,
};
use sagene_api::istio::types::StringMatch;

use super::super::common::{duration, filled_string_match, labels, port, regex, string_match};
use super::super::host::is_dns_label;
use super::super::{Place, Report};
use super::fault::faults;
use super::header::{authorities, header_name, headers, is_claim};
use super::{destination, gateways, weight_rules};

/// Largest body of a direct response, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;
/// Bodies beyond this burden every proxy.
const LARGE_BODY: usize = 100 * 1024;
/// Words of `retryOn` that Envoy knows, for HTTP and gRPC; numbers are status codes.
const RETRY_ON: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];
/// Methods a CORS policy may allow.
const METHODS: &[&str] =
    &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "*"];

pub(super) fn route(report: &mut Report, path: Place<'_>, route: &HttpRoute, is_delegate: bool) {
    actions(report, path, route, is_delegate);
    let delegates = is_delegate || route.delegate.is_some();
    for (index, condition) in route.r#match.iter().enumerate() {
        matches(report, path.key("match").index(index), condition, delegates);
    }
    for (index, weighted) in route.route.iter().enumerate() {
        let list = path.key("route");
        let path = list.index(index);
        destination(report, path.key("destination"), &weighted.destination);
        headers(report, path, weighted.headers.as_deref());
    }
    let weights: Vec<i32> = route.route.iter().map(|weighted| weighted.weight).collect();
    weight_rules(report, path.key("route"), &weights);
    duration(report, path.key("timeout"), route.timeout);
    headers(report, path, route.headers.as_deref());
    let authority = route.rewrite.as_ref().map_or("", |rewrite| rewrite.authority.as_str());
    authorities(report, path, authority, route.headers.as_deref());
    mirrors(report, path, route);
    if let Some(retry) = &route.retries {
        retries(report, path.key("retries"), retry);
    }
    if let Some(fault) = &route.fault {
        faults(report, path.key("fault"), fault);
    }
    if let Some(policy) = &route.cors_policy {
        cors(report, path.key("corsPolicy"), policy);
    }
    if let Some(rule) = &route.rewrite {
        rewrite(report, path.key("rewrite"), rule);
    }
    if let Some(rule) = &route.redirect {
        redirect(report, path.key("redirect"), rule);
    }
    if let Some(response) = &route.direct_response {
        direct_response(report, path.key("directResponse"), response);
    }
}

/// Exactly one of route, redirect, directResponse, delegate.
fn actions(report: &mut Report, path: Place<'_>, route: &HttpRoute, is_delegate: bool) {
    let chosen = [
        ("route", !route.route.is_empty()),
        ("redirect", route.redirect.is_some()),
        ("directResponse", route.direct_response.is_some()),
        ("delegate", route.delegate.is_some()),
    ];
    let chosen: Vec<&str> = chosen.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    match chosen.as_slice() {
        [] => report.error(path, "HTTP route, redirect, directResponse or delegate is required"),
        [_] => {}
        several => {
            report.error(path, format!("HTTP route cannot contain both {}; keep one", several.join(" and ")));
        }
    }
    if let Some(delegate) = &route.delegate {
        let path = path.key("delegate");
        report.require(!is_delegate, path, "delegate virtual service must not delegate further");
        report.require(!delegate.name.is_empty(), path.key("name"), "delegate name must not be empty");
        let namespace = delegate.namespace.as_str();
        report.require(
            namespace.is_empty() || is_dns_label(namespace),
            path.key("namespace"),
            format_args!("{namespace:?} is no namespace"),
        );
    }
    if route.redirect.is_some() || route.direct_response.is_some() {
        for (field, set) in [("fault", route.fault.is_some()), ("rewrite", route.rewrite.is_some())] {
            report.require(
                !set,
                path.key(field),
                format_args!("HTTP route cannot contain both {field} and a redirect or direct response"),
            );
        }
    }
}

fn matches(report: &mut Report, path: Place<'_>, condition: &HttpMatchRequest, delegates: bool) {
    let one = |report: &mut Report, path: Place<'_>, text: Option<&StringMatch>, is_uri: bool| {
        // Any path begins with an empty prefix; of other texts proxies want to know what to look for.
        if is_uri {
            string_match(report, path, text)
        } else {
            filled_string_match(report, path, text)
        };
        if delegates && matches!(text, Some(StringMatch::Regex(_))) {
            report
                .error(path, "regex match is not supported where routes are delegated; use exact or prefix");
        }
    };
    for (field, text) in [
        ("uri", &condition.uri),
        ("scheme", &condition.scheme),
        ("method", &condition.method),
        ("authority", &condition.authority),
    ] {
        if text.is_some() {
            one(report, path.key(field), text.as_ref(), field == "uri");
        }
    }
    for (field, map) in [
        ("headers", &condition.headers),
        ("withoutHeaders", &condition.without_headers),
        ("queryParams", &condition.query_params),
    ] {
        for (name, text) in map {
            let list = path.key(field);
            let path = list.key(name);
            if field != "queryParams" && !is_claim(name) {
                header_name(report, path, name);
            }
            one(report, path, Some(text), false);
        }
    }
    if condition.port != 0 {
        port(report, path.key("port"), condition.port);
    }
    labels(report, path.key("sourceLabels"), &condition.source_labels);
    gateways(report, path.key("gateways"), &condition.gateways);
    let namespace = condition.source_namespace.as_str();
    if !namespace.is_empty() && !is_dns_label(namespace) {
        report.error(path.key("sourceNamespace"), format!("{namespace:?} is no namespace"));
    }
}

fn mirrors(report: &mut Report, path: Place<'_>, route: &HttpRoute) {
    if let Some(mirror) = &route.mirror {
        destination(report, path.key("mirror"), mirror);
        report.require(
            route.mirrors.is_empty(),
            path.key("mirrors"),
            "HTTP route cannot contain both mirror and mirrors; move it into mirrors",
        );
    }
    for (field, percent) in
        [("mirrorPercent", route.mirror_percent), ("mirror_percent", route.mirror_percent_snake)]
    {
        let Some(percent) = percent else { continue };
        let path = path.key(field);
        if percent > 100 {
            report.error(path, format!("mirror percent must have a max value of 100 (it has {percent})"));
        } else {
            report.warning(
                path,
                format!("using deprecated setting {field:?}, use \"mirrorPercentage\" instead"),
            );
        }
    }
    mirrored(report, path.key("mirrorPercentage"), route.mirror_percentage.as_ref());
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let list = path.key("mirrors");
        let path = list.index(index);
        destination(report, path.key("destination"), &mirror.destination);
        mirrored(report, path.key("percentage"), mirror.percentage.as_ref());
    }
}

/// How much is mirrored; however little, unlike the share of a fault.
fn mirrored(report: &mut Report, path: Place<'_>, percent: Option<&Percent>) {
    let Some(Percent { value }) = percent else { return };
    report.require(
        (0.0..=100.0).contains(value),
        path.key("value"),
        format_args!("mirror percentage {value} is not in range 0..100"),
    );
}

/// Rules of retries, of a route and of the mesh.
pub(in crate::validation) fn retries(report: &mut Report, path: Place<'_>, retry: &HttpRetry) {
    report.require(retry.attempts >= 0, path.key("attempts"), "attempts cannot be negative");
    if retry.attempts == 0
        && (retry.per_try_timeout.is_some()
            || !retry.retry_on.is_empty()
            || retry.retry_remote_localities.is_some())
    {
        report.error(path, "http retry policy configured when attempts are set to 0 (disabled); set attempts, or remove the rest");
    }
    duration(report, path.key("perTryTimeout"), retry.per_try_timeout);
    duration(report, path.key("backoff"), retry.backoff);
    let words = retry.retry_on.split(',').filter(|_| !retry.retry_on.is_empty());
    for word in words {
        report.require(
            RETRY_ON.contains(&word) || is_status_code(word),
            path.key("retryOn"),
            format_args!(
                "{word:?} is not a valid retryOn policy; want HTTP status codes or {}",
                RETRY_ON.join(", ")
            ),
        );
    }
}

/// A status code that HTTP has assigned.
fn is_status_code(word: &str) -> bool {
    let Ok(code) = word.parse::<u16>() else { return false };
    matches!(
        code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511
    )
}

fn cors(report: &mut Report, path: Place<'_>, policy: &CorsPolicy) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let list = path.key("allowOrigins");
        let path = list.index(index);
        let empty = match origin {
            StringMatch::Empty => true,
            StringMatch::Exact(text) | StringMatch::Prefix(text) | StringMatch::Regex(text) => {
                text.is_empty()
            }
        };
        report.require(
            !empty,
            path,
            "'' is not a valid match type for CORS allow origins; want exact, prefix or regex",
        );
        string_match(report, path, Some(origin));
    }
    for (index, method) in policy.allow_methods.iter().enumerate() {
        report.require(
            METHODS.contains(&method.as_str()),
            path.key("allowMethods").index(index),
            format_args!("{method:?} is not a supported HTTP method; want one of {}", METHODS.join(", ")),
        );
    }
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| *name != "*") {
            header_name(report, path.key(field).index(index), name);
        }
    }
    duration(report, path.key("maxAge"), policy.max_age);
    let whole = policy.max_age.is_none_or(|age| age.subsec_nanos() == 0);
    report.require(whole, path.key("maxAge"), "max_age duration is accurate only to seconds precision");
}

fn rewrite(report: &mut Report, path: Place<'_>, rule: &HttpRewrite) {
    let some = !rule.uri.is_empty() || !rule.authority.is_empty() || rule.uri_regex_rewrite.is_some();
    report.require(some, path, "rewrite must specify at least one of uri, authority and uriRegexRewrite");
    if let Some(expression) = &rule.uri_regex_rewrite {
        report.require(rule.uri.is_empty(), path, "rewrite may only contain one of uri and uriRegexRewrite");
        let path = path.key("uriRegexRewrite");
        report.require(
            !expression.r#match.is_empty() && !expression.rewrite.is_empty(),
            path,
            "uriRegexRewrite requires both match and rewrite",
        );
        regex(report, path.key("match"), &expression.r#match);
    }
}

fn redirect(report: &mut Report, path: Place<'_>, rule: &HttpRedirect) {
    let nothing = rule.uri.is_empty()
        && rule.prefix_rewrite.is_empty()
        && rule.authority.is_empty()
        && rule.port.is_none()
        && rule.derive_port.is_none()
        && rule.scheme.is_empty();
    report.require(!nothing, path, "redirect must specify uri, authority, scheme or port");
    report.require(
        rule.uri.is_empty() || rule.prefix_rewrite.is_empty(),
        path,
        "redirect cannot set both uri and prefixRewrite",
    );
    if let Some(number) = rule.port {
        port(report, path.key("port"), number);
    }
    let code = rule.redirect_code;
    report.require(
        code == 0 || (300..400).contains(&code),
        path.key("redirectCode"),
        format_args!("{code} is not a valid redirect code, must be 3xx"),
    );
    report.require(
        matches!(rule.scheme.as_str(), "" | "http" | "https"),
        path.key("scheme"),
        "invalid redirect scheme, must be \"http\" or \"https\"",
    );
}

fn direct_response(report: &mut Report, path: Place<'_>, response: &HttpDirectResponse) {
    let status = response.status;
    report.require(
        (200..600).contains(&status),
        path.key("status"),
        format_args!("HTTP status {status} is not in range 200-599"),
    );
    let Some(body) = &response.body else { return };
    // Bytes are written in base64: four characters for three.
    let bytes = body.bytes.as_ref().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4);
    let size = body.string.as_ref().map_or(bytes, String::len);
    if size > LARGEST_BODY {
        report.error(path.key("body"), format!("max of size {LARGEST_BODY} bytes is supported, got {size}"));
    } else if size > LARGE_BODY {
        report.warning(path.key("body"), format!("large direct response may impact control plane performance; recommended below {LARGE_BODY} bytes"));
    }
}
