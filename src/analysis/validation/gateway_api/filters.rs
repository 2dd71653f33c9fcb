//! Filters of HTTPRoutes and GRPCRoutes.

use super::references::{backend, header_name, local_reference, port, precise_hostname};
use super::schema::{Schema, boolean, integer, list, object, one_of, text};

/// A filter: its type, the field with its settings, and what stands there.
type Filter = (&'static str, &'static str, Schema);

/// Types that may stand more than once.
const REPEATABLE: &[&str] = &["RequestMirror", "ExtensionRef"];

/// Filters of HTTP.
pub(super) fn http() -> Schema {
    let mut known = both();
    known.extend([
        ("RequestRedirect", "requestRedirect", redirect()),
        ("URLRewrite", "urlRewrite", rewrite()),
        ("CORS", "cors", cors()),
        ("ExternalAuth", "externalAuth", external_authorization()),
    ]);
    filters(&known).rule(
        "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
        "requests are either redirected or rewritten: RequestRedirect and URLRewrite do not go together",
    )
}

/// Filters of gRPC.
pub(super) fn grpc() -> Schema {
    filters(&both())
}

fn both() -> Vec<Filter> {
    vec![
        ("RequestHeaderModifier", "requestHeaderModifier", header_changes()),
        ("ResponseHeaderModifier", "responseHeaderModifier", header_changes()),
        ("RequestMirror", "requestMirror", mirror()),
        ("ExtensionRef", "extensionRef", local_reference()),
    ]
}

/// The settings of a filter are those of its type.
fn filters(known: &[Filter]) -> Schema {
    let types: Vec<&str> = known.iter().map(|(name, _, _)| *name).collect();
    let mut filter = object(&[("type!", one_of(&types))]);
    for (name, field, settings) in known {
        filter = filter.and(&[(field, settings.clone())]).rule(
            &format!("(self.type == '{name}') == has(self.{field})"),
            &format!("{field} must be set for filters of type {name}, and for them alone"),
        );
    }
    let mut filters = list(filter, 0..=16);
    for name in types.iter().filter(|name| !REPEATABLE.contains(name)) {
        filters = filters.rule(
            &format!("self.filter(f, f.type == '{name}').size() <= 1"),
            &format!("there may be one filter of type {name}"),
        );
    }
    filters
}

fn header_changes() -> Schema {
    let header = object(&[("name!", header_name()), ("value!", text(1..=4096))]);
    let headers = list(header, 0..=16).keyed(&["name"]);
    object(&[("add", headers.clone()), ("remove", list(text(0..=256), 0..=16).distinct()), ("set", headers)])
}

fn mirror() -> Schema {
    let fraction = object(&[
        ("denominator", integer(1..=i64::from(i32::MAX)).default(100)),
        ("numerator!", integer(0..=i64::from(i32::MAX))),
    ])
    .rule("self.numerator <= self.denominator", "numerator must not be greater than denominator");
    object(&[("backendRef!", backend()), ("fraction", fraction), ("percent", integer(0..=100))])
        .rule("!(has(self.percent) && has(self.fraction))", "only one of percent and fraction may be set")
}

fn path() -> Schema {
    let mut path = object(&[
        ("replaceFullPath", text(0..=1024)),
        ("replacePrefixMatch", text(0..=1024)),
        ("type!", one_of(&["ReplaceFullPath", "ReplacePrefixMatch"])),
    ]);
    for (kind, field) in
        [("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")]
    {
        path = path.rule(
            &format!("(self.type == '{kind}') == has(self.{field})"),
            &format!("{field} must be set with type {kind}, and with it alone"),
        );
    }
    path
}

fn redirect() -> Schema {
    let code = integer(300..=399)
        .rule("self in [301, 302, 303, 307, 308]", "statusCode must be one of 301, 302, 303, 307, 308");
    object(&[
        ("hostname", precise_hostname()),
        ("path", path()),
        ("port", port()),
        ("scheme", one_of(&["http", "https"])),
        ("statusCode", code.default(302)),
    ])
}

fn rewrite() -> Schema {
    object(&[("hostname", precise_hostname()), ("path", path())])
}

fn cors() -> Schema {
    let methods =
        one_of(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]);
    let origin = text(1..=253).matching(
        r"^\*$|^https?://(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$",
        "an origin such as https://example.com or https://*.example.com, or *",
    );
    let alone = |list: Schema| {
        list.rule("!('*' in self && self.size() > 1)", "where * is named, nothing else may be").distinct()
    };
    object(&[
        ("allowCredentials", boolean()),
        ("allowHeaders", alone(list(header_name(), 0..=64))),
        ("allowMethods", alone(list(methods, 0..=9))),
        ("allowOrigins", alone(list(origin, 0..=64))),
        ("exposeHeaders", list(header_name(), 0..=64).distinct()),
        ("maxAge", integer(1..=i64::from(i32::MAX)).default(5)),
    ])
}

/// Of the experimental channel.
fn external_authorization() -> Schema {
    let headers = || list(header_name(), 0..=64).distinct();
    object(&[
        ("backendRef!", backend()),
        ("forwardBody", object(&[("maxSize", integer(0..=65535))])),
        ("grpc", object(&[("allowedHeaders", headers())])),
        (
            "http",
            object(&[
                ("allowedHeaders", headers()),
                ("allowedResponseHeaders", headers()),
                ("path", text(0..=1024)),
            ]),
        ),
        ("protocol!", one_of(&["HTTP", "GRPC"])),
    ])
    .rule("self.protocol == 'GRPC' || !has(self.grpc)", "grpc is for protocol GRPC")
    .rule("self.protocol == 'HTTP' || !has(self.http)", "http is for protocol HTTP")
}
