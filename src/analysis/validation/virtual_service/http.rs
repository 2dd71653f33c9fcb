//! Rules of an HTTP route.

use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::{
    CorsPolicy, HeaderOperations, Headers, HttpDirectResponse, HttpFaultInjection, HttpMatchRequest,
    HttpRedirect, HttpRetry, HttpRewrite, HttpRoute,
};

use super::super::Report;
use super::super::common::{duration, port, regex, string_match};
use super::{destination, weight_rules};
use crate::path::FieldPath;

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

pub(super) fn route(report: &mut Report, path: &FieldPath, route: &HttpRoute, is_delegate: bool) {
    actions(report, path, route, is_delegate);
    for (index, condition) in route.r#match.iter().enumerate() {
        matches(report, &path.key("match").index(index), condition);
    }
    for (index, weighted) in route.route.iter().enumerate() {
        let path = path.key("route").index(index);
        destination(report, &path.key("destination"), &weighted.destination);
        headers(report, &path, weighted.headers.as_ref());
    }
    let weights: Vec<i32> = route.route.iter().map(|weighted| weighted.weight).collect();
    weight_rules(report, &path.key("route"), &weights);
    duration(report, &path.key("timeout"), route.timeout);
    headers(report, path, route.headers.as_ref());
    mirrors(report, path, route);
    if let Some(retry) = &route.retries {
        retries(report, &path.key("retries"), retry);
    }
    if let Some(fault) = &route.fault {
        faults(report, &path.key("fault"), fault);
    }
    if let Some(policy) = &route.cors_policy {
        cors(report, &path.key("corsPolicy"), policy);
    }
    if let Some(rule) = &route.rewrite {
        rewrite(report, &path.key("rewrite"), rule);
    }
    if let Some(rule) = &route.redirect {
        redirect(report, &path.key("redirect"), rule);
    }
    if let Some(response) = &route.direct_response {
        direct_response(report, &path.key("directResponse"), response);
    }
}

/// Exactly one of route, redirect, directResponse, delegate.
fn actions(report: &mut Report, path: &FieldPath, route: &HttpRoute, is_delegate: bool) {
    let chosen = [
        !route.route.is_empty(),
        route.redirect.is_some(),
        route.direct_response.is_some(),
        route.delegate.is_some(),
    ];
    match chosen.iter().filter(|chosen| **chosen).count() {
        0 => report.error(path, "HTTP route, redirect, direct_response or delegate is required"),
        1 => {}
        _ => report.error(
            path,
            "HTTP route cannot contain more than one of route, redirect, direct_response and delegate",
        ),
    }
    if route.delegate.is_some() {
        report.require(
            !is_delegate,
            &path.key("delegate"),
            "delegate virtual service must not delegate further",
        );
    }
    if route.redirect.is_some() || route.direct_response.is_some() {
        report.require(
            route.fault.is_none(),
            &path.key("fault"),
            "HTTP route cannot contain both a redirect or direct response and a fault",
        );
        report.require(
            route.rewrite.is_none(),
            &path.key("rewrite"),
            "HTTP route rule cannot contain both rewrite and redirect",
        );
    }
}

fn matches(report: &mut Report, path: &FieldPath, condition: &HttpMatchRequest) {
    for (field, text) in [
        ("uri", &condition.uri),
        ("scheme", &condition.scheme),
        ("method", &condition.method),
        ("authority", &condition.authority),
    ] {
        string_match(report, &path.key(field), text.as_ref());
    }
    for (field, map) in [
        ("headers", &condition.headers),
        ("withoutHeaders", &condition.without_headers),
        ("queryParams", &condition.query_params),
    ] {
        for (name, text) in map {
            let path = path.key(field).key(name);
            if field != "queryParams" && !name.starts_with('@') {
                header_name(report, &path, name);
            }
            string_match(report, &path, Some(text));
        }
    }
    if condition.port != 0 {
        port(report, &path.key("port"), condition.port);
    }
}

fn header_name(report: &mut Report, path: &FieldPath, name: &str) {
    let allowed =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte));
    report.require(
        !name.is_empty() && allowed,
        path,
        &format!("header name {name:?} is not a valid header name"),
    );
}

fn headers(report: &mut Report, path: &FieldPath, headers: Option<&Headers>) {
    let Some(headers) = headers else { return };
    for (side, operations) in [("request", &headers.request), ("response", &headers.response)] {
        let Some(HeaderOperations { set, add, remove }) = operations else { continue };
        let path = path.key("headers").key(side);
        for (field, names) in [("set", set.keys().collect::<Vec<_>>()), ("add", add.keys().collect())] {
            for name in names {
                header_name(report, &path.key(field).key(name), name);
            }
        }
        for (index, name) in remove.iter().enumerate() {
            let path = path.key("remove").index(index);
            header_name(report, &path, name);
            report.require(
                !name.starts_with(':') && !name.eq_ignore_ascii_case("host"),
                &path,
                &format!("header name {name:?} cannot be removed"),
            );
        }
    }
}

fn percent(report: &mut Report, path: &FieldPath, percent: Option<&Percent>) {
    if let Some(percent) = percent {
        report.require(
            (0.0..=100.0).contains(&percent.value),
            &path.key("value"),
            &format!("percentage {} is not in range 0..100", percent.value),
        );
    }
}

fn mirrors(report: &mut Report, path: &FieldPath, route: &HttpRoute) {
    if let Some(mirror) = &route.mirror {
        destination(report, &path.key("mirror"), mirror);
        report.require(
            route.mirrors.is_empty(),
            &path.key("mirrors"),
            "HTTP route cannot contain both mirror and mirrors",
        );
    }
    percent(report, &path.key("mirrorPercentage"), route.mirror_percentage.as_ref());
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let path = path.key("mirrors").index(index);
        destination(report, &path.key("destination"), &mirror.destination);
        percent(report, &path.key("percentage"), mirror.percentage.as_ref());
    }
}

fn retries(report: &mut Report, path: &FieldPath, retry: &HttpRetry) {
    report.require(retry.attempts >= 0, &path.key("attempts"), "attempts cannot be negative");
    if retry.attempts == 0 && (retry.per_try_timeout.is_some() || !retry.retry_on.is_empty()) {
        report.error(path, "http retry policy configured when attempts are set to 0 (disabled)");
    }
    duration(report, &path.key("perTryTimeout"), retry.per_try_timeout);
    duration(report, &path.key("backoff"), retry.backoff);
    for word in retry.retry_on.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let is_code = word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
        report.require(
            is_code || RETRY_ON.contains(&word),
            &path.key("retryOn"),
            &format!("{word:?} is not a valid retryOn policy"),
        );
    }
}

fn faults(report: &mut Report, path: &FieldPath, fault: &HttpFaultInjection) {
    report.require(
        fault.abort.is_some() || fault.delay.is_some(),
        path,
        "HTTP fault injection must have an abort and/or a delay",
    );
    if let Some(abort) = &fault.abort {
        let path = path.key("abort");
        percent(report, &path.key("percentage"), abort.percentage.as_ref());
        if let Some(status) = abort.http_status {
            report.require(
                (200..600).contains(&status),
                &path.key("httpStatus"),
                "invalid abort http status; want 200 to 599",
            );
        }
        if let Some(other) = &abort.http2_error {
            report.error(
                &path.key("http2Error"),
                format!("HTTP/2 error {other:?} cannot be injected; use httpStatus or grpcStatus"),
            );
        }
        let named = abort.http_status.is_some() || abort.grpc_status.is_some() || abort.http2_error.is_some();
        report.require(named, &path, "HTTP fault injection abort must name an httpStatus or a grpcStatus");
    }
    if let Some(delay) = &fault.delay {
        let path = path.key("delay");
        percent(report, &path.key("percentage"), delay.percentage.as_ref());
        report.require(
            (0..=100).contains(&delay.percent),
            &path.key("percent"),
            &format!("percentage {} is not in range 0..100", delay.percent),
        );
        duration(report, &path.key("fixedDelay"), delay.fixed_delay);
        if delay.exponential_delay.is_some() {
            report.error(&path.key("exponentialDelay"), "exponentialDelay not supported yet; use fixedDelay");
        }
    }
}

fn cors(report: &mut Report, path: &FieldPath, policy: &CorsPolicy) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        string_match(report, &path.key("allowOrigins").index(index), Some(origin));
    }
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| *name != "*") {
            header_name(report, &path.key(field).index(index), name);
        }
    }
    if let Some(age) = policy.max_age {
        let whole = age.subsec_nanos() == 0 && age.seconds() >= 0;
        report.require(whole, &path.key("maxAge"), "max_age duration is accurate only to seconds precision");
    }
}

fn rewrite(report: &mut Report, path: &FieldPath, rule: &HttpRewrite) {
    let some = !rule.uri.is_empty() || !rule.authority.is_empty() || rule.uri_regex_rewrite.is_some();
    report.require(some, path, "rewrite must specify at least one of URI, authority and uriRegexRewrite");
    if let Some(expression) = &rule.uri_regex_rewrite {
        report.require(rule.uri.is_empty(), path, "rewrite may only contain one of URI and uriRegexRewrite");
        regex(report, &path.key("uriRegexRewrite").key("match"), &expression.r#match);
    }
}

fn redirect(report: &mut Report, path: &FieldPath, rule: &HttpRedirect) {
    let nothing = rule.uri.is_empty()
        && rule.prefix_rewrite.is_empty()
        && rule.authority.is_empty()
        && rule.redirect_code == 0
        && rule.port.is_none()
        && rule.derive_port.is_none()
        && rule.scheme.is_empty();
    report.require(!nothing, path, "redirect must specify URI, authority, scheme, port or redirect code");
    report.require(
        rule.uri.is_empty() || rule.prefix_rewrite.is_empty(),
        path,
        "redirect cannot set both uri and prefixRewrite",
    );
    let code = rule.redirect_code;
    report.require(
        code == 0 || (300..400).contains(&code),
        &path.key("redirectCode"),
        &format!("{code} is not a valid redirect code, must be 3xx"),
    );
    report.require(
        matches!(rule.scheme.as_str(), "" | "http" | "https"),
        &path.key("scheme"),
        "scheme must be http or https",
    );
}

fn direct_response(report: &mut Report, path: &FieldPath, response: &HttpDirectResponse) {
    report.require(
        (100..600).contains(&response.status),
        &path.key("status"),
        &format!("invalid HTTP status {}; want 100 to 599", response.status),
    );
    let Some(body) = &response.body else { return };
    let size = body.string.as_ref().or(body.bytes.as_ref()).map_or(0, String::len);
    if size > LARGEST_BODY {
        report.error(&path.key("body"), format!("max of size {LARGEST_BODY} bytes is supported, got {size}"));
    } else if size > LARGE_BODY {
        report.warning(&path.key("body"), format!("large direct response may impact control plane performance; recommended below {LARGE_BODY} bytes"));
    }
}
