//! What several kinds have: names, parents, destinations, selectors.

use super::schema::{Schema, any, integer, list, map, object, one_of, text};

/// A name within labels, as in DNS.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const SUBDOMAIN_WORDS: &str = "a-z, 0-9, '-' and '.', with a letter or digit at both ends of each part";

/// Most seconds, minutes and so on of one part have five digits.
const DURATION: &str = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// Name of an object.
pub(super) fn object_name() -> Schema {
    text(1..=253)
}

/// Name of a listener, or of a rule.
pub(super) fn section_name() -> Schema {
    text(1..=253).matching(SUBDOMAIN, SUBDOMAIN_WORDS)
}

/// A host without wildcard.
pub(super) fn precise_hostname() -> Schema {
    text(1..=253).matching(SUBDOMAIN, SUBDOMAIN_WORDS)
}

/// A host, or `*.` and a domain.
pub(super) fn hostname() -> Schema {
    text(1..=253).matching(
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a host in small letters, such as example.com, or *.example.com",
    )
}

/// An API group; empty means the core group.
pub(super) fn group() -> Schema {
    let pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    text(0..=253).matching(pattern, "an API group such as gateway.networking.k8s.io, without version")
}

/// A kind.
pub(super) fn kind() -> Schema {
    text(1..=63)
        .matching(r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", "the name of a kind: letters, digits and '-'")
}

/// A namespace.
pub(super) fn namespace() -> Schema {
    text(1..=63).matching(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "the name of a namespace: a-z, 0-9 and '-'")
}

/// A port.
pub(super) fn port() -> Schema {
    integer(1..=65535)
}

/// `1m30s`.
pub(super) fn duration() -> Schema {
    text(0..=24).matching(DURATION, "whole numbers with units, such as 1m30s or 500ms")
}

/// Names a domain and a path.
pub(super) fn domain_path() -> Schema {
    let pattern =
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$";
    text(1..=253).matching(pattern, "a domain and a path, such as istio.io/gateway-controller")
}

/// The name of an HTTP header.
pub(super) fn header_name() -> Schema {
    text(1..=256).matching(
        r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$",
        "the name of a header: letters, digits and !#$%&'*+-.^_`|~",
    )
}

/// Options of TLS that are an implementation's own.
pub(super) fn options() -> Schema {
    map(text(0..=4096), 16)
}

/// A selector of labels.
pub(super) fn label_selector() -> Schema {
    let expression = object(&[
        ("key!", any()),
        ("operator!", one_of(&["In", "NotIn", "Exists", "DoesNotExist"])),
        ("values", list(text(0..=253), 0..=1024)),
    ]);
    object(&[("matchExpressions", list(expression, 0..=1024)), ("matchLabels", map(text(0..=63), 1024))])
}

/// An object of the same namespace; group and kind must be told.
pub(super) fn local_reference() -> Schema {
    object(&[("group!", group()), ("kind!", kind()), ("name!", object_name())])
}

/// An object of any namespace; group and kind must be told.
pub(super) fn object_reference() -> Schema {
    local_reference().and(&[("namespace", namespace())])
}

/// A Secret, if nothing else is told.
pub(super) fn secret_reference() -> Schema {
    object(&[
        ("group", group().default("")),
        ("kind", kind().default("Secret")),
        ("name!", object_name()),
        ("namespace", namespace()),
    ])
}

/// A Service, if nothing else is told.
pub(super) fn backend() -> Schema {
    object(&[
        ("group", group().default("")),
        ("kind", kind().default("Service")),
        ("name!", object_name()),
        ("namespace", namespace()),
        ("port", port()),
    ])
    .rule(
        "self.group != '' || self.kind != 'Service' || has(self.port)",
        "port must be set where a Service is meant",
    )
}

/// The same, with its share of the traffic.
pub(super) fn weighted_backend() -> Schema {
    backend().and(&[("weight", integer(0..=1_000_000).default(1))])
}

/// What `parentRefs` of two parents have in common where they name the same.
const SAME_PARENT: &str = "a.group == b.group && a.kind == b.kind && a.name == b.name && \
     (has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '')";

/// What a route belongs to.
pub(super) fn parents() -> Schema {
    let parent = object(&[
        ("group", group().default("gateway.networking.k8s.io")),
        ("kind", kind().default("Gateway")),
        ("name!", object_name()),
        ("namespace", namespace()),
        ("port", port()),
        ("sectionName", section_name()),
    ]);
    let part = |of: &str| format!("(has({of}.sectionName) || has({of}.port))");
    let parts_are_told =
        format!("self.all(a, self.all(b, !({SAME_PARENT}) || {} == {}))", part("a"), part("b"));
    let each_is_one = format!(
        "self.all(a, self.exists_one(b, {SAME_PARENT} && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? \
         b.sectionName : '') && (has(a.port) ? a.port : 0) == (has(b.port) ? b.port : 0)))"
    );
    list(parent, 0..=32)
        .rule(&parts_are_told, "sectionName must be set where several elements name the same parent")
        .rule(&each_is_one, "the same parent, or the same section of it, is named more than once")
}

/// Fields of every route.
pub(super) fn route() -> Schema {
    object(&[("parentRefs", parents()), ("useDefaultGateways", one_of(&["All", "None"]))])
}
