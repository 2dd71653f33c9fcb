//! HTTPRoute and GRPCRoute.

use serde_json::json;

use super::filters;
use super::references::{duration, header_name, hostname, route, section_name, weighted_backend};
use super::schema::{Schema, integer, list, object, one_of, text};

/// Most rules of a route.
const MOST_RULES: u64 = 16;
/// Most matches of all rules together.
const MOST_MATCHES: usize = 128;

/// A path that is no expression.
const PLAIN_PATHS: &str = "self.type == 'RegularExpression' || ";

/// `spec` of an HTTPRoute.
pub(super) fn http() -> Schema {
    let everything = json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
    let matches = list(http_match(), 0..=64).default(everything.clone());
    let backend = weighted_backend().and(&[("filters", filters::http())]);
    let rule = object(&[
        ("backendRefs", list(backend, 0..=16)),
        ("filters", filters::http()),
        ("matches", matches),
        ("name", section_name()),
        ("retry", retry()),
        ("sessionPersistence", session_persistence()),
        ("timeouts", timeouts()),
    ])
    .rule(
        "!has(self.backendRefs) || size(self.backendRefs) == 0 || !has(self.filters) || !self.filters.exists(f, f.type == 'RequestRedirect')",
        "a rule that redirects has no backendRefs",
    );
    let rule = [
        ("self", "requestRedirect"),
        ("self", "urlRewrite"),
        ("backend", "requestRedirect"),
        ("backend", "urlRewrite"),
    ]
    .into_iter()
    .fold(rule, |rule, (of, field)| rule.rule(&prefix_is_known(of, field), &prefix_words(field)));
    let rules = list(rule, 1..=MOST_RULES).default(json!([{ "matches": everything }]));
    route().and(&[("hostnames", list(hostname(), 0..=16)), ("rules", matches_of_all(rules))])
}

/// A prefix can only be replaced where it is known which one matched.
fn prefix_is_known(of: &str, field: &str) -> String {
    let replaces = |of: &str| {
        format!(
            "has({of}.filters) && {of}.filters.exists(f, has(f.{field}) && has(f.{field}.path) && f.{field}.path.type == 'ReplacePrefixMatch')"
        )
    };
    let any = match of {
        "self" => replaces("self"),
        _ => format!("has(self.backendRefs) && self.backendRefs.exists(b, {})", replaces("b")),
    };
    format!(
        "!({any}) || (size(self.matches) == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix')"
    )
}

fn prefix_words(field: &str) -> String {
    format!("{field} with ReplacePrefixMatch needs exactly one match, of type PathPrefix")
}

fn matches_of_all(rules: Schema) -> Schema {
    let counts: Vec<String> = (0..MOST_RULES)
        .map(|index| {
            format!("(size(self) > {index} && has(self[{index}].matches) ? size(self[{index}].matches) : 0)")
        })
        .collect();
    rules.rule(
        &format!("{} <= {MOST_MATCHES}", counts.join(" + ")),
        &format!("the rules together have more than {MOST_MATCHES} matches"),
    )
}

fn http_match() -> Schema {
    let methods = one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);
    object(&[
        ("headers", values(4096)),
        ("method", methods),
        ("path", path().default(json!({ "type": "PathPrefix", "value": "/" }))),
        ("queryParams", values(1024)),
    ])
}

/// Headers, or parameters of a query.
fn values(longest: u64) -> Schema {
    let value = object(&[
        ("name!", header_name()),
        ("type", one_of(&["Exact", "RegularExpression"]).default("Exact")),
        ("value!", text(1..=longest)),
    ]);
    list(value, 0..=16).keyed(&["name"])
}

fn path() -> Schema {
    let plain = |rule: &str| format!("{PLAIN_PATHS}{rule}");
    object(&[
        ("type", one_of(&["Exact", "PathPrefix", "RegularExpression"]).default("PathPrefix")),
        ("value", text(0..=1024).default("/")),
    ])
    .rule(&plain("self.value.startsWith('/')"), "value must begin with /")
    .rule(
        &plain(
            "!['//', '/./', '/../', '%2f', '%2F', '#'].exists(part, self.value.contains(part)) && !self.value.endsWith('/..') && \
             !self.value.endsWith('/.')",
        ),
        "value must be a plain path, without //, /./, /../, %2f and #",
    )
    .rule(
        &plain(r#"self.value.matches(r"^([-A-Za-z0-9/._~!$&'()*+,;=:@#]|%[0-9a-fA-F]{2})*$")"#),
        "value has a character that no path has; write it as % and two hexadecimal digits",
    )
}

fn timeouts() -> Schema {
    object(&[("backendRequest", duration()), ("request", duration())]).rule(
        "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= \
         duration(self.request)",
        "backendRequest must not be longer than request",
    )
}

/// Of the experimental channel.
fn retry() -> Schema {
    object(&[
        ("attempts", integer(0..=i64::from(i32::MAX))),
        ("backoff", duration()),
        ("codes", list(integer(400..=599), 0..=200)),
    ])
}

/// Of the experimental channel.
fn session_persistence() -> Schema {
    object(&[
        ("absoluteTimeout", duration()),
        (
            "cookieConfig",
            object(&[("lifetimeType", one_of(&["Permanent", "Session"]).default("Session"))]),
        ),
        ("idleTimeout", duration()),
        ("sessionName", text(0..=128)),
        ("type", one_of(&["Cookie", "Header"]).default("Cookie")),
    ])
    .rule(
        "!has(self.cookieConfig) || self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
        "absoluteTimeout must be set where cookies are permanent",
    )
}

/// `spec` of a GRPCRoute.
pub(super) fn grpc() -> Schema {
    let backend = weighted_backend().and(&[("filters", filters::grpc())]);
    let matching = object(&[("headers", values(4096)), ("method", grpc_method())]);
    let rule = object(&[
        ("backendRefs", list(backend, 0..=16)),
        ("filters", filters::grpc()),
        ("matches", list(matching, 0..=64)),
        ("name", section_name()),
        ("sessionPersistence", session_persistence()),
    ]);
    route().and(&[
        ("hostnames", list(hostname(), 0..=16)),
        ("rules", matches_of_all(list(rule, 0..=MOST_RULES))),
    ])
}

fn grpc_method() -> Schema {
    object(&[
        ("method", text(0..=1024)),
        ("service", text(0..=1024)),
        ("type", one_of(&["Exact", "RegularExpression"]).default("Exact")),
    ])
    .rule("has(self.service) || has(self.method)", "service or method must be set")
    .rule(
        r#"self.type != 'Exact' || !has(self.service) || self.service.matches(r"^\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$")"#,
        "service must be the name of a service with its package, such as echo.EchoService",
    )
    .rule(
        r#"self.type != 'Exact' || !has(self.method) || self.method.matches(r"^[A-Za-z_][A-Za-z_0-9]*$")"#,
        "method must be the name of a method",
    )
}
