//! GatewayClass, Gateway and ListenerSet.

use serde_json::json;

use super::references::{
    domain_path, group, hostname, kind, label_selector, local_reference, object_name, object_reference,
    options, port, secret_reference, section_name,
};
use super::schema::{Schema, any, integer, list, map, object, one_of, text};

/// `spec` of a GatewayClass.
pub(super) fn gateway_class() -> Schema {
    object(&[
        ("controllerName!", domain_path()),
        ("description", text(0..=64)),
        ("parametersRef", object_reference()),
    ])
}

/// `spec` of a Gateway.
pub(super) fn gateway() -> Schema {
    let listener = listener().and(&[("port!", port())]);
    object(&[
        ("addresses", addresses()),
        ("allowedListeners", object(&[("namespaces", namespaces(&["None", "All", "Selector", "Same"]))])),
        // Of the experimental channel, and of earlier releases of it.
        ("backendTLS", any()),
        ("defaultScope", one_of(&["All", "None"])),
        ("gatewayClassName!", object_name()),
        ("infrastructure", infrastructure()),
        ("listeners!", listeners(listener)),
        ("tls", tls()),
    ])
}

/// `spec` of a ListenerSet.
pub(super) fn listener_set() -> Schema {
    let parent = object(&[
        ("group", group().default("gateway.networking.k8s.io")),
        ("kind", kind().default("Gateway")),
        ("name!", object_name()),
        ("namespace", super::references::namespace()),
    ]);
    let listener = listener().and(&[("port!", port())]);
    object(&[("listeners!", listeners(listener)), ("parentRef!", parent)])
}

/// `spec` of an XListenerSet, which leaves ports to the implementation where it tells none.
pub(super) fn experimental_listener_set() -> Schema {
    listener_set().and(&[("listeners!", listeners(listener().and(&[("port", integer(0..=65535))])))])
}

fn listener() -> Schema {
    let route_kind = object(&[("group", group().default("gateway.networking.k8s.io")), ("kind!", kind())]);
    let same = json!({ "from": "Same" });
    let allowed = object(&[
        ("kinds", list(route_kind, 0..=8)),
        ("namespaces", namespaces(&["Same", "All", "Selector"]).default(same.clone())),
    ]);
    let protocol = text(1..=255).matching(
        r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]+$",
        "HTTP, HTTPS, TLS, TCP, UDP, or a protocol with a domain before it",
    );
    object(&[
        ("allowedRoutes", allowed.default(json!({ "namespaces": same }))),
        ("hostname", hostname()),
        ("name!", section_name()),
        ("protocol!", protocol),
        ("tls", listener_tls()),
    ])
}

fn listener_tls() -> Schema {
    object(&[
        ("certificateRefs", list(secret_reference(), 0..=64)),
        // Of earlier releases of the experimental channel.
        ("frontendValidation", any()),
        ("mode", one_of(&["Terminate", "Passthrough"]).default("Terminate")),
        ("options", options()),
    ])
    .rule(
        "self.mode != 'Terminate' || (has(self.certificateRefs) && size(self.certificateRefs) > 0) || (has(self.options) && \
         size(self.options) > 0)",
        "certificateRefs must be set where TLS is terminated",
    )
}

fn listeners(listener: Schema) -> Schema {
    list(listener, 1..=64)
        .keyed(&["name"])
        .rule(
            "self.all(a, !has(a.tls) || !(a.protocol in ['HTTP', 'TCP', 'UDP']))",
            "a listener of HTTP, TCP or UDP has no tls",
        )
        .rule(
            "self.all(a, a.protocol != 'HTTPS' || !has(a.tls) || a.tls.mode == 'Terminate')",
            "the mode of tls must be Terminate for HTTPS",
        )
        .rule("self.all(a, a.protocol != 'TLS' || has(a.tls))", "a listener of TLS must have tls, with its mode")
        .rule(
            "self.all(a, !has(a.hostname) || a.hostname == '' || !(a.protocol in ['TCP', 'UDP']))",
            "a listener of TCP or UDP has no hostname",
        )
        .rule(
            "self.all(a, !has(a.port) || a.port == 0 || self.exists_one(b, has(b.port) && a.port == b.port && a.protocol == b.protocol && \
             (has(a.hostname) ? a.hostname : '') == (has(b.hostname) ? b.hostname : '')))",
            "port, protocol and hostname together must be unique among listeners",
        )
}

/// The first word is meant where nothing is said.
fn namespaces(from: &[&str]) -> Schema {
    object(&[("from", one_of(from).default(from[0])), ("selector", label_selector())])
}

fn addresses() -> Schema {
    let kind = text(1..=253).matching(
        r"^(Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+)$",
        "IPAddress, Hostname, or a domain and a path",
    );
    let address = object(&[("type", kind.default("IPAddress")), ("value", text(0..=253))]).rule(
        r#"self.type != 'Hostname' || !has(self.value) || self.value.matches(r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")"#,
        "value must be a host in small letters",
    );
    list(address, 0..=16).rule(
        "self.all(a, !has(a.value) || self.exists_one(b, a.type == b.type && has(b.value) && a.value == b.value))",
        "the same address is named more than once",
    )
}

fn infrastructure() -> Schema {
    object(&[
        ("annotations", map(text(0..=4096), 16)),
        ("labels", map(text(0..=63), 8)),
        ("parametersRef", local_reference()),
    ])
}

fn tls() -> Schema {
    let validation = object(&[
        ("caCertificateRefs!", list(object_reference(), 1..=16)),
        ("mode", one_of(&["AllowValidOnly", "AllowInsecureFallback"]).default("AllowValidOnly")),
    ]);
    let configuration = object(&[("validation", validation)]);
    let by_port = object(&[("port!", port()), ("tls!", configuration.clone())]);
    object(&[
        ("backend", object(&[("clientCertificateRef", secret_reference())])),
        (
            "frontend",
            object(&[("default!", configuration), ("perPort", list(by_port, 0..=64).keyed(&["port"]))]),
        ),
    ])
}
