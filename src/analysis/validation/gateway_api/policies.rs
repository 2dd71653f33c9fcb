//! BackendTLSPolicy and ReferenceGrant.

use super::references::{
    group, hostname, kind, local_reference, namespace, object_name, options, precise_hostname, section_name,
};
use super::schema::{Schema, list, object, one_of, text};

/// `spec` of a BackendTLSPolicy.
pub(super) fn backend_tls() -> Schema {
    let target = local_reference().and(&[("sectionName", section_name())]);
    let same = "a.group == b.group && a.kind == b.kind && a.name == b.name";
    let targets = list(target, 1..=16)
        .rule(
            &format!("self.all(a, self.all(b, !({same}) || has(a.sectionName) == has(b.sectionName)))"),
            "sectionName must be set where several elements name the same target",
        )
        .rule(
            &format!(
                "self.all(a, self.exists_one(b, {same} && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? \
                 b.sectionName : '')))"
            ),
            "the same target, or the same section of it, is named more than once",
        );
    object(&[("options", options()), ("targetRefs!", targets), ("validation!", validation())])
}

fn validation() -> Schema {
    let system = text(1..=253).matching(
        r"^(System|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])$",
        "System, or a domain and a name",
    );
    object(&[
        ("caCertificateRefs", list(local_reference(), 0..=8)),
        ("hostname!", precise_hostname()),
        ("subjectAltNames", list(alternative_name(), 0..=5)),
        ("wellKnownCACertificates", system),
    ])
    .rule(
        "(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0) != (has(self.wellKnownCACertificates) && \
         self.wellKnownCACertificates != '')",
        "exactly one of caCertificateRefs and wellKnownCACertificates must be set",
    )
}

fn alternative_name() -> Schema {
    let uri = text(1..=253)
        .matching(r"^([^:/?#]+):(//[^/?#]*)[^?#]*(\?[^#]*)?(#.*)?", "a URI, such as spiffe://domain/path");
    let mut name = object(&[("hostname", hostname()), ("type!", one_of(&["Hostname", "URI"])), ("uri", uri)]);
    for (kind, field) in [("Hostname", "hostname"), ("URI", "uri")] {
        name = name.rule(
            &format!("(self.type == '{kind}') == (has(self.{field}) && self.{field} != '')"),
            &format!("{field} must be set with type {kind}, and with it alone"),
        );
    }
    name
}

/// `spec` of a ReferenceGrant.
pub(super) fn reference_grant() -> Schema {
    let from = object(&[("group!", group()), ("kind!", kind()), ("namespace!", namespace())]);
    let to = object(&[("group!", group()), ("kind!", kind()), ("name", object_name())]);
    object(&[("from!", list(from, 1..=16)), ("to!", list(to, 1..=16))])
}
