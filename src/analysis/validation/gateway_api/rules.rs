//! The rules that types alone do not say, by kind and place.

use serde_json::{Value, json};

use super::at;

/// A rule in the Common Expression Language, and what is said where it is broken.
type Rule = (&'static str, &'static str);

/// Filters of HTTP by what they are called and where their settings stand.
const HTTP_FILTERS: &[(&str, &str)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("CORS", "cors"),
    ("ExternalAuth", "externalAuth"),
    ("ExtensionRef", "extensionRef"),
];
/// Those of gRPC.
const GRPC_FILTERS: &[(&str, &str)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("ExtensionRef", "extensionRef"),
];

/// A Service is reached at a port.
const BACKEND: Rule = (
    "(has(self.group) && self.group != '') || (has(self.kind) && self.kind != 'Service') || has(self.port)",
    "port must be set where a Service is meant",
);
const LISTENERS: &[Rule] = &[
    ("self.all(a, self.exists_one(b, a.name == b.name))", "names of listeners must be unique"),
    (
        "self.all(a, !has(a.tls) || !(a.protocol in ['HTTP', 'TCP', 'UDP']))",
        "a listener of HTTP, TCP or UDP has no tls",
    ),
    (
        "self.all(a, !has(a.hostname) || a.hostname == '' || !(a.protocol in ['TCP', 'UDP']))",
        "a listener of TCP or UDP has no hostname",
    ),
    (
        "self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) ? a.hostname : '') == (has(b.hostname) \
         ? b.hostname : '')))",
        "port, protocol and hostname together must be unique among listeners",
    ),
];
const LISTENER_TLS: Rule = (
    "(has(self.mode) && self.mode != 'Terminate') || (has(self.certificateRefs) && size(self.certificateRefs) > 0) || (has(self.options) && \
     size(self.options) > 0)",
    "certificateRefs must be set where TLS is terminated",
);
const HTTP_RULE: Rule = (
    "!has(self.backendRefs) || size(self.backendRefs) == 0 || !has(self.filters) || !self.filters.exists(f, f.type == 'RequestRedirect')",
    "a rule that redirects has no backendRefs",
);
const PATH: &[Rule] = &[
    (
        "!has(self.value) || (has(self.type) && self.type == 'RegularExpression') || self.value.startsWith('/')",
        "value must begin with /",
    ),
    (
        "!has(self.value) || (has(self.type) && self.type == 'RegularExpression') || !['//', '/./', '/../', '%2f', '%2F', '#'].exists(part, \
         self.value.contains(part))",
        "value must be a plain path, without //, /./, /../, %2f and #",
    ),
];
const GRPC_METHOD: Rule = ("has(self.service) || has(self.method)", "service or method must be set");

/// Words that name kinds, controllers and times.
const KIND: Rule = (
    "self.matches('^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$')",
    "is no name of a kind; want letters, digits and '-'",
);
const CONTROLLER: Rule = (
    "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/.+$')",
    "must be a domain and a path, as in istio.io/gateway-controller",
);
const TIMEOUT: Rule = (
    "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",
    "is no duration; want whole numbers with units, such as 1m30s or 500ms",
);

/// Adds the rules of a kind to the schema of its `spec`.
pub(super) fn add(kind: &str, spec: &mut Value) {
    match kind {
        "Gateway" => {
            put(spec, "listeners", LISTENERS);
            put(spec, "listeners[].tls", &[LISTENER_TLS]);
        }
        "HTTPRoute" => {
            backends(spec);
            filters(spec, HTTP_FILTERS);
            put(spec, "rules[]", &[HTTP_RULE]);
            put(spec, "rules[].matches[].path", PATH);
            put(spec, "rules[].timeouts.request", &[TIMEOUT]);
            put(spec, "rules[].timeouts.backendRequest", &[TIMEOUT]);
        }
        "GRPCRoute" => {
            backends(spec);
            filters(spec, GRPC_FILTERS);
            put(spec, "rules[].matches[].method", &[GRPC_METHOD]);
        }
        "TCPRoute" | "TLSRoute" => backends(spec),
        "GatewayClass" => put(spec, "controllerName", &[CONTROLLER]),
        "ReferenceGrant" => ["from[].kind", "to[].kind"].iter().for_each(|place| put(spec, place, &[KIND])),
        _ => {}
    }
}

fn backends(spec: &mut Value) {
    put(spec, "parentRefs[].kind", &[KIND]);
    put(spec, "rules[].backendRefs[].kind", &[KIND]);
    put(spec, "rules[].backendRefs[]", &[BACKEND]);
    put(spec, "rules[].filters[].requestMirror.backendRef", &[BACKEND]);
}

/// The settings of a filter are those of its type.
fn filters(spec: &mut Value, filters: &[(&'static str, &'static str)]) {
    let types: Vec<&str> = filters.iter().map(|(name, _)| *name).collect();
    let rules: Vec<Value> = filters
        .iter()
        .map(|(name, field)| {
            json!({
                "rule": format!("(has(self.type) && self.type == '{name}') == has(self.{field})"),
                "message": format!("{field} must be set for filters of type {name}, and for them alone"),
            })
        })
        .collect();
    for place in ["rules[].filters[]", "rules[].backendRefs[].filters[]"] {
        if let Some(schema) = at(spec, place) {
            schema["x-kubernetes-validations"] = json!(rules);
        }
        if let Some(schema) = at(spec, &format!("{place}.type")) {
            schema["enum"] = json!(types);
        }
    }
}

fn put(spec: &mut Value, place: &str, rules: &[Rule]) {
    if let Some(schema) = at(spec, place) {
        let rules: Vec<Value> =
            rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect();
        schema["x-kubernetes-validations"] = json!(rules);
    }
}
