//! Objects of the Gateway API that the API server refuses, and such that it takes.

use super::*;
use crate::input::load;

fn found(kind: &str, spec: &str) -> Vec<String> {
    let mut input = Input::default();
    let yaml = format!("apiVersion: {GROUP}/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    assert!(load(&mut input, "f.yaml", yaml, "default").is_empty());
    problems(&input).iter().map(|message| message.path.to_string()).collect()
}

#[test]
fn gateways() {
    let listener = |more: &str| {
        format!("{{gatewayClassName: istio, listeners: [{{name: a, port: 80, protocol: HTTP}}, {more}]}}")
    };
    for (bad, path) in [
        ("{gatewayClassName: istio}".to_owned(), "spec.listeners"),
        (listener("{name: a, port: 81, protocol: HTTP}"), "spec.listeners"),
        (listener("{name: b, port: 80, protocol: HTTP}"), "spec.listeners"),
        (listener("{name: b, port: 90, protocol: TCP, hostname: a.com}"), "spec.listeners"),
        (listener("{name: b, port: 81, protocol: HTTP, tls: {mode: Passthrough}}"), "spec.listeners"),
        (listener("{name: b, port: 443, protocol: HTTPS, tls: {mode: Terminate}}"), "spec.listeners[1].tls"),
        (
            listener("{name: b, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: Any}}}"),
            "spec.listeners[1].allowedRoutes.namespaces.from",
        ),
    ] {
        assert!(found("Gateway", &bad).contains(&path.to_owned()), "{bad} → {:?}", found("Gateway", &bad));
    }
    for good in [
        "{name: b, port: 80, protocol: HTTP, hostname: a.com}",
        "{name: b, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}",
        "{name: b, port: 443, protocol: TLS, tls: {mode: Passthrough}}",
        "{name: b, port: 15008, protocol: HBONE, unread: {by: us}}",
        "{name: b, port: 81, protocol: x.io/own, tls: {mode: Passthrough}}",
    ] {
        assert_eq!(found("Gateway", &listener(good)), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn routes() {
    for (kind, bad, path) in [
        ("HTTPRoute", "{rules: [{backendRefs: [{name: a}]}]}", "spec.rules[0].backendRefs[0]"),
        ("HTTPRoute", "{rules: [{backendRefs: [{port: 80}]}]}", "spec.rules[0].backendRefs[0].name"),
        ("HTTPRoute", "{rules: [{filters: [{type: URLRewrite}]}]}", "spec.rules[0].filters[0]"),
        ("HTTPRoute", "{rules: [{filters: [{type: Rewrite}]}]}", "spec.rules[0].filters[0].type"),
        ("HTTPRoute", "{rules: [{matches: [{path: {value: a}}]}]}", "spec.rules[0].matches[0].path"),
        ("HTTPRoute", "{rules: [{matches: [{path: {value: //a}}]}]}", "spec.rules[0].matches[0].path"),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}], backendRefs: [{name: a, port: 80}]}]}",
            "spec.rules[0]",
        ),
        ("HTTPRoute", "{rules: [{timeouts: {request: soon}}]}", "spec.rules[0].timeouts.request"),
        ("HTTPRoute", "{parentRefs: [{kind: a b, name: c}]}", "spec.parentRefs[0].kind"),
        ("GatewayClass", "{controllerName: istio}", "spec.controllerName"),
        ("GRPCRoute", "{rules: [{matches: [{method: {type: Exact}}]}]}", "spec.rules[0].matches[0].method"),
        ("TCPRoute", "{rules: [{backendRefs: [{name: a}]}]}", "spec.rules[0].backendRefs[0]"),
    ] {
        assert!(found(kind, bad).contains(&path.to_owned()), "{kind} {bad} → {:?}", found(kind, bad));
    }
    for (kind, good) in [
        (
            "HTTPRoute",
            "{parentRefs: [{group: '', kind: Service, name: s, port: 80}], rules: [{backendRefs: [{name: s, port: 80, weight: 1}]}]}",
        ),
        ("HTTPRoute", "{rules: [{backendRefs: [{group: x.io, kind: Pool, name: p}]}]}"),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: y, name: z}}]}]}",
        ),
        (
            "HTTPRoute",
            "{rules: [{matches: [{path: {type: RegularExpression, value: 'a.*'}}], timeouts: {request: 5s}}]}",
        ),
        ("GRPCRoute", "{rules: [{matches: [{method: {service: a.b}}]}]}"),
        ("GatewayClass", "{controllerName: istio.io/gateway-controller}"),
    ] {
        assert_eq!(found(kind, good), Vec::<String>::new(), "{kind} {good}");
    }
}
