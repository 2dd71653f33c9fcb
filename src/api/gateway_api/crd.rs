//! CustomResourceDefinitions of the kinds of the Gateway API that the mesh reads, with the fields it reads: for clusters that have none and
//! cannot fetch the project's own. Types give the fields; the tables below what the Gateway API says beyond them: what is required, which
//! words there are, and what is meant where nothing is said.

use serde_json::{Value, json};

use super::{GatewayClass, GrpcRoute, HttpRoute, KubernetesGateway, ReferenceGrant, TcpRoute, TlsRoute};
use crate::object::Resource;
use crate::schema::definition::names;
use crate::shape::Shape;

/// The release whose rules these follow, as tools look for it.
const BUNDLE_VERSION: &str = "v1.6.0";

/// What a definition says beside its fields.
#[derive(Default)]
struct Traits {
    short_names: &'static [&'static str],
    /// Columns of `kubectl get`: name, type, JSON path.
    columns: &'static [(&'static str, &'static str, &'static str)],
    /// Places of the schema with what is merged in there; `[]` stands for the items of a list.
    rules: Vec<(&'static str, Value)>,
}

const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");
const HOSTNAMES: (&str, &str, &str) = ("Hostnames", "string", ".spec.hostnames");
const GROUP: &str = "gateway.networking.k8s.io";

/// All definitions, by kind.
pub fn all() -> Vec<Value> {
    vec![
        definition::<GatewayClass>(&Traits {
            short_names: &["gc"],
            columns: &[
                ("Controller", "string", ".spec.controllerName"),
                ("Accepted", "string", ".status.conditions[?(@.type==\"Accepted\")].status"),
                AGE,
            ],
            rules: vec![("", required(&["controllerName"]))],
        }),
        definition::<KubernetesGateway>(&Traits {
            short_names: &["gtw"],
            columns: &[
                ("Class", "string", ".spec.gatewayClassName"),
                ("Address", "string", ".status.addresses[*].value"),
                ("Programmed", "string", ".status.conditions[?(@.type==\"Programmed\")].status"),
                AGE,
            ],
            rules: gateway(),
        }),
        definition::<GrpcRoute>(&route(grpc())),
        definition::<HttpRoute>(&route(http())),
        definition::<ReferenceGrant>(&Traits {
            short_names: &["refgrant"],
            columns: &[AGE],
            rules: vec![
                ("", required(&["from", "to"])),
                ("from[]", required(&["group", "kind", "namespace"])),
                ("to[]", required(&["group", "kind"])),
            ],
        }),
        definition::<TcpRoute>(&Traits { columns: &[AGE], rules: streams(), ..Traits::default() }),
        definition::<TlsRoute>(&Traits { columns: &[AGE], rules: streams(), ..Traits::default() }),
    ]
}

fn route(rules: Vec<(&'static str, Value)>) -> Traits {
    Traits { columns: &[HOSTNAMES, AGE], rules: [parents(), rules].concat(), ..Traits::default() }
}

fn required(fields: &[&str]) -> Value {
    json!({ "required": fields })
}

fn default(value: &str) -> Value {
    json!({ "default": value })
}

/// Words of which the first is meant where nothing is said.
fn words(words: &[&str]) -> Value {
    json!({ "enum": words, "default": words[0] })
}

fn gateway() -> Vec<(&'static str, Value)> {
    let same = json!({ "from": "Same" });
    vec![
        ("", required(&["gatewayClassName", "listeners"])),
        ("listeners", json!({ "minItems": 1, "maxItems": 64 })),
        ("listeners[]", required(&["name", "port", "protocol"])),
        ("listeners[].port", json!({ "minimum": 1 })),
        ("listeners[].allowedRoutes", json!({ "default": { "namespaces": same } })),
        ("listeners[].allowedRoutes.namespaces", json!({ "default": same })),
        ("listeners[].allowedRoutes.namespaces.from", words(&["Same", "All", "Selector"])),
        ("listeners[].allowedRoutes.kinds[]", required(&["kind"])),
        ("listeners[].allowedRoutes.kinds[].group", default(GROUP)),
        ("listeners[].tls.mode", words(&["Terminate", "Passthrough"])),
        ("listeners[].tls.certificateRefs[]", required(&["name"])),
        ("listeners[].tls.certificateRefs[].group", default("")),
        ("listeners[].tls.certificateRefs[].kind", default("Secret")),
        ("addresses[].type", default("IPAddress")),
    ]
}

fn parents() -> Vec<(&'static str, Value)> {
    vec![
        ("parentRefs[]", required(&["name"])),
        ("parentRefs[].group", default(GROUP)),
        ("parentRefs[].kind", default("Gateway")),
    ]
}

/// Destinations and filters of a kind of routes of requests.
fn requests(types: &[&str]) -> Vec<(&'static str, Value)> {
    let weight = json!({ "default": 1, "minimum": 0, "maximum": 1_000_000 });
    let kinds = json!({ "enum": types });
    let header = required(&["name", "value"]);
    vec![
        ("rules[].backendRefs[]", required(&["name"])),
        ("rules[].backendRefs[].group", default("")),
        ("rules[].backendRefs[].kind", default("Service")),
        ("rules[].backendRefs[].weight", weight),
        ("rules[].filters[]", required(&["type"])),
        ("rules[].filters[].type", kinds.clone()),
        ("rules[].filters[].requestMirror", required(&["backendRef"])),
        ("rules[].filters[].requestMirror.backendRef", required(&["name"])),
        ("rules[].filters[].requestMirror.backendRef.group", default("")),
        ("rules[].filters[].requestMirror.backendRef.kind", default("Service")),
        ("rules[].backendRefs[].filters[]", required(&["type"])),
        ("rules[].backendRefs[].filters[].type", kinds),
        ("rules[].filters[].requestHeaderModifier.set[]", header.clone()),
        ("rules[].filters[].requestHeaderModifier.add[]", header.clone()),
        ("rules[].filters[].responseHeaderModifier.set[]", header.clone()),
        ("rules[].filters[].responseHeaderModifier.add[]", header),
    ]
}

fn http() -> Vec<(&'static str, Value)> {
    let everything = json!({ "type": "PathPrefix", "value": "/" });
    let types = [
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let redirects = json!({ "enum": [301, 302, 303, 307, 308], "default": 302 });
    let paths = json!({ "enum": ["ReplaceFullPath", "ReplacePrefixMatch"] });
    let mut rules = requests(&types);
    rules.extend([
        ("rules", json!({ "default": [{ "matches": [{ "path": everything }] }] })),
        ("rules[].matches", json!({ "default": [{ "path": everything }] })),
        ("rules[].matches[].path", json!({ "default": everything, "properties": { "name": null } })),
        ("rules[].matches[].path.type", words(&["PathPrefix", "Exact", "RegularExpression"])),
        ("rules[].matches[].path.value", default("/")),
        ("rules[].matches[].headers[]", required(&["name", "value"])),
        ("rules[].matches[].headers[].type", words(&["Exact", "RegularExpression"])),
        ("rules[].matches[].queryParams[]", required(&["name", "value"])),
        ("rules[].matches[].queryParams[].type", words(&["Exact", "RegularExpression"])),
        ("rules[].matches[].method", json!({ "enum": methods })),
        ("rules[].filters[].requestRedirect.scheme", json!({ "enum": ["http", "https"] })),
        ("rules[].filters[].requestRedirect.statusCode", redirects),
        ("rules[].filters[].requestRedirect.path", required(&["type"])),
        ("rules[].filters[].requestRedirect.path.type", paths.clone()),
        ("rules[].filters[].urlRewrite.path", required(&["type"])),
        ("rules[].filters[].urlRewrite.path.type", paths),
    ]);
    rules.extend(cors());
    rules
}

/// An origin: a scheme, a host whose left part may be `*`, and perhaps a port; or `*`.
const ORIGIN: &str = r"^\*$|^https?://(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$";

fn cors() -> [(&'static str, Value); 6] {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"];
    let some = json!({ "maxItems": 64 });
    [
        ("rules[].filters[].cors.allowOrigins", some.clone()),
        ("rules[].filters[].cors.allowOrigins[]", json!({ "pattern": ORIGIN })),
        ("rules[].filters[].cors.allowMethods[]", json!({ "enum": methods })),
        ("rules[].filters[].cors.allowHeaders", some.clone()),
        ("rules[].filters[].cors.exposeHeaders", some),
        ("rules[].filters[].cors.maxAge", json!({ "default": 5, "minimum": 1 })),
    ]
}

fn grpc() -> Vec<(&'static str, Value)> {
    let mut rules = requests(&["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror"]);
    rules.extend([
        ("rules[].matches[].method.type", words(&["Exact", "RegularExpression"])),
        ("rules[].matches[].headers[]", required(&["name", "value"])),
        ("rules[].matches[].headers[].type", words(&["Exact", "RegularExpression"])),
    ]);
    for place in ["rules[].filters[]", "rules[].backendRefs[].filters[]"] {
        // Calls are neither redirected nor rewritten, and no browser makes them.
        let none = json!({ "requestRedirect": null, "urlRewrite": null, "cors": null });
        rules.push((place, json!({ "properties": none })));
    }
    rules
}

fn streams() -> Vec<(&'static str, Value)> {
    let mut rules = parents();
    rules.extend([
        ("", required(&["rules"])),
        ("rules[].backendRefs[]", json!({ "required": ["name"], "properties": { "filters": null } })),
        ("rules[].backendRefs[].group", default("")),
        ("rules[].backendRefs[].kind", default("Service")),
        ("rules[].backendRefs[].weight", json!({ "default": 1, "minimum": 0, "maximum": 1_000_000 })),
    ]);
    rules
}

fn definition<S: Resource + Shape>(traits: &Traits) -> Value {
    let mut spec = S::schema();
    for (place, rule) in &traits.rules {
        if let Some(schema) = at(&mut spec, place) {
            merge(schema, rule);
        }
    }
    let status = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema =
        json!({ "type": "object", "required": ["spec"], "properties": { "spec": spec, "status": status } });
    let columns: Vec<Value> = traits
        .columns
        .iter()
        .map(|(name, kind, path)| json!({ "name": name, "type": kind, "jsonPath": path }))
        .collect();
    let version = |name: &&'static str| {
        json!({
            "name": name, "served": true, "storage": *name == S::VERSION,
            "schema": { "openAPIV3Schema": schema },
            "subresources": { "status": {} },
            "additionalPrinterColumns": columns,
        })
    };
    let names = names(S::KIND, S::PLURAL, &["gateway-api"], traits.short_names);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", S::PLURAL, S::GROUP),
            "annotations": {
                "gateway.networking.k8s.io/bundle-version": BUNDLE_VERSION,
                "gateway.networking.k8s.io/channel": "standard",
            },
        },
        "spec": {
            "group": S::GROUP, "names": names,
            "scope": if S::NAMESPACED { "Namespaced" } else { "Cluster" },
            "versions": S::VERSIONS.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

/// The schema of a field: `listeners[].tls.mode`.
fn at<'s>(schema: &'s mut Value, place: &str) -> Option<&'s mut Value> {
    place.split('.').filter(|name| !name.is_empty()).try_fold(schema, |schema, name| {
        let (name, is_item) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let field = schema.get_mut("properties")?.get_mut(name)?;
        if is_item { field.get_mut("items") } else { Some(field) }
    })
}

/// Merges objects; `null` takes a field away.
fn merge(into: &mut Value, rule: &Value) {
    let (Value::Object(into), Value::Object(rule)) = (&mut *into, rule) else {
        *into = rule.clone();
        return;
    };
    for (key, value) in rule {
        match value {
            Value::Null => drop(into.remove(key)),
            Value::Object(_) if key == "properties" => {
                merge(into.entry(key.clone()).or_insert_with(|| json!({})), value);
            }
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_place() {
        let check = |mut spec: Value, rules: Vec<(&'static str, Value)>| {
            for (place, _) in rules {
                assert!(at(&mut spec, place).is_some(), "{place}");
            }
        };
        check(KubernetesGateway::schema(), gateway());
        check(HttpRoute::schema(), [parents(), http()].concat());
        check(GrpcRoute::schema(), [parents(), grpc()].concat());
        check(TlsRoute::schema(), streams());
        check(TcpRoute::schema(), streams());
    }

    #[test]
    fn definitions_say_what_types_do_not() {
        let all = all();
        let names: Vec<&str> = all.iter().filter_map(|it| it["spec"]["names"]["kind"].as_str()).collect();
        assert_eq!(
            names,
            ["GatewayClass", "Gateway", "GRPCRoute", "HTTPRoute", "ReferenceGrant", "TCPRoute", "TLSRoute"]
        );
        let spec = |index: usize| {
            all[index]
                .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
                .expect("a schema")
                .clone()
        };
        let mut gateway = spec(1);
        assert_eq!(
            at(&mut gateway, "listeners[]").expect("listeners")["required"],
            json!(["name", "port", "protocol"])
        );
        let mut http = spec(3);
        assert_eq!(at(&mut http, "rules[].backendRefs[].weight").expect("weights")["default"], 1);
        assert!(at(&mut http, "rules[].matches[].path.name").is_none());
        let mut grpc = spec(2);
        assert!(at(&mut grpc, "rules[].filters[].urlRewrite").is_none());
    }
}
