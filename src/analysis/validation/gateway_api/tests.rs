//! Objects of the Gateway API that the API server refuses, and such that it takes.

use super::definitions::GROUP;
use super::*;
use crate::input::load;

fn messages_of(yaml: String) -> Vec<Message> {
    let mut input = Input::default();
    assert!(load(&mut input, "f.yaml", yaml, "default").is_empty());
    let mut messages = problems(&input);
    messages.append(&mut input.problems);
    messages
}

fn object(version: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")
}

fn found(kind: &str, spec: &str) -> Vec<String> {
    let messages = messages_of(object(&format!("{GROUP}/v1"), kind, spec));
    messages.iter().map(|message| message.path.to_string()).collect()
}

#[test]
fn gateways() {
    let listener = |more: &str| {
        format!("{{gatewayClassName: istio, listeners: [{{name: a, port: 80, protocol: HTTP}}, {more}]}}")
    };
    for (bad, path) in [
        ("{gatewayClassName: istio}".to_owned(), "spec.listeners"),
        (listener("{name: a, port: 81, protocol: HTTP}"), "spec.listeners[1]"),
        (listener("{name: b, port: 80, protocol: HTTP}"), "spec.listeners"),
        (listener("{name: b, port: 90, protocol: TCP, hostname: a.com}"), "spec.listeners"),
        (listener("{name: b, port: 81, protocol: HTTP, tls: {mode: Passthrough}}"), "spec.listeners"),
        (listener("{name: b, port: 443, protocol: HTTPS, tls: {mode: Terminate}}"), "spec.listeners[1].tls"),
        (
            listener("{name: b, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: Any}}}"),
            "spec.listeners[1].allowedRoutes.namespaces.from",
        ),
        (listener("{name: b, port: 443, protocol: TLS}"), "spec.listeners"),
        (listener("{name: b, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}"), "spec.listeners"),
        (listener("{name: b, port: 81, protocol: HTTP, hostnam: a.com}"), "spec.listeners[1].hostnam"),
        (listener("{name: b, port: 81, protocol: HTTP, hostname: A.com}"), "spec.listeners[1].hostname"),
        (listener("{name: b, port: 0, protocol: HTTP}"), "spec.listeners[1].port"),
    ] {
        assert!(found("Gateway", &bad).contains(&path.to_owned()), "{bad} → {:?}", found("Gateway", &bad));
    }
    for good in [
        "{name: b, port: 80, protocol: HTTP, hostname: a.com}",
        "{name: b, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}",
        "{name: b, port: 443, protocol: TLS, tls: {mode: Passthrough}}",
        "{name: b, port: 15008, protocol: HBONE}",
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
        (
            "TCPRoute",
            "{rules: [{backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: a, port: 2}]}]}",
            "spec.rules",
        ),
        ("UDPRoute", "{rules: [{}]}", "spec.rules[0].backendRefs"),
        ("TLSRoute", "{rules: [{backendRefs: [{name: a, port: 1}]}]}", "spec.hostnames"),
        (
            "TLSRoute",
            "{hostnames: [1.2.3.4], rules: [{backendRefs: [{name: a, port: 1}]}]}",
            "spec.hostnames",
        ),
        ("HTTPRoute", "{parentRefs: [{name: g}, {name: g}]}", "spec.parentRefs"),
        ("HTTPRoute", "{parentRefs: [{name: g}, {name: g, sectionName: s}]}", "spec.parentRefs"),
        ("HTTPRoute", "{hostnames: ['a.*']}", "spec.hostnames[0]"),
        (
            "HTTPRoute",
            "{rules: [{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}]}",
            "spec.rules[0].matches[0].headers[1]",
        ),
        (
            "HTTPRoute",
            "{rules: [{backendRefs: [{name: a, port: 80, weight: -1}]}]}",
            "spec.rules[0].backendRefs[0].weight",
        ),
        ("HTTPRoute", "{rules: [{backendRef: [{name: a, port: 80}]}]}", "spec.rules[0].backendRef"),
        ("HTTPRoute", "{rules: [{matches: [{path: {value: /a%zz}}]}]}", "spec.rules[0].matches[0].path"),
        ("HTTPRoute", "{rules: [{timeouts: {request: 1s, backendRequest: 2s}}]}", "spec.rules[0].timeouts"),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]}]}",
            "spec.rules[0].filters[0].requestRedirect.statusCode",
        ),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {hostname: a.com}}]}]}",
            "spec.rules[0].filters",
        ),
        (
            "HTTPRoute",
            "{rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]}",
            "spec.rules[0]",
        ),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}}]}]}",
            "spec.rules[0].filters[0].urlRewrite.path",
        ),
        (
            "GRPCRoute",
            "{rules: [{matches: [{method: {service: 'a/b'}}]}]}",
            "spec.rules[0].matches[0].method",
        ),
        (
            "GRPCRoute",
            "{rules: [{filters: [{type: URLRewrite, urlRewrite: {}}]}]}",
            "spec.rules[0].filters[0].type",
        ),
        ("ReferenceGrant", "{from: [], to: [{group: '', kind: Service}]}", "spec.from"),
        (
            "BackendTLSPolicy",
            "{targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.com}}",
            "spec.validation",
        ),
        (
            "BackendTLSPolicy",
            "{targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: '*.a.com', wellKnownCACertificates: System}}",
            "spec.validation.hostname",
        ),
        (
            "BackendTLSPolicy",
            "{targetRefs: [{group: '', kind: Service, name: s}, {group: '', kind: Service, name: s}], validation: {hostname: a.com, wellKnownCACertificates: System}}",
            "spec.targetRefs",
        ),
        (
            "ListenerSet",
            "{parentRef: {name: g}, listeners: [{name: a, protocol: HTTP}]}",
            "spec.listeners[0].port",
        ),
        ("ListenerSet", "{listeners: [{name: a, port: 80, protocol: HTTP}]}", "spec.parentRef"),
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
            "{rules: [{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: k, name: z}}]}]}",
        ),
        (
            "HTTPRoute",
            "{rules: [{matches: [{path: {type: RegularExpression, value: 'a.*'}}], timeouts: {request: 5s}}]}",
        ),
        ("GRPCRoute", "{rules: [{matches: [{method: {service: a.b}}]}]}"),
        ("GatewayClass", "{controllerName: istio.io/gateway-controller}"),
        (
            "HTTPRoute",
            "{parentRefs: [{name: g, sectionName: a}, {name: g, sectionName: b}, {name: g, namespace: 'n'}]}",
        ),
        ("HTTPRoute", "{parentRefs: [{name: g, port: 80}, {name: g, port: 81}]}"),
        (
            "HTTPRoute",
            "{rules: [{retry: {codes: [503], attempts: 2}, sessionPersistence: {sessionName: a}, filters: [{type: CORS, cors: {allowOrigins: ['https://a.com']}}], backendRefs: [{name: a, port: 80}]}]}",
        ),
        (
            "HTTPRoute",
            "{rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: a, port: 80}]}]}",
        ),
        ("TLSRoute", "{hostnames: ['*.a.com'], rules: [{backendRefs: [{name: a, port: 1}]}]}"),
        ("UDPRoute", "{rules: [{backendRefs: [{name: a, port: 53}]}]}"),
        (
            "BackendTLSPolicy",
            "{targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.com, wellKnownCACertificates: System, subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}]}}",
        ),
        ("ListenerSet", "{parentRef: {name: g}, listeners: [{name: a, port: 80, protocol: HTTP}]}"),
        ("LaterRoute", "{anything: goes}"),
    ] {
        assert_eq!(found(kind, good), Vec::<String>::new(), "{kind} {good}");
    }
}

#[test]
fn versions_kinds_and_what_stands_around_the_spec() {
    let texts = |yaml: String| -> Vec<String> {
        messages_of(yaml).iter().map(|message| message.text.clone()).collect()
    };
    for (version, kind, spec, words) in [
        (format!("{GROUP}/v1beta2"), "HTTPRoute", "{}", "use one of v1, v1beta1"),
        (format!("{GROUP}/v1"), "HttpRoute", "{}", "did you mean \"HTTPRoute\"?"),
        (
            format!("{GROUP}/v1"),
            "HTTPRoute",
            "{}\nspecs: {}",
            "unknown field \"specs\"; did you mean \"spec\"?",
        ),
        (
            format!("{GROUP}/v1"),
            "Gateway",
            "{gatewayClasName: istio, listeners: [{name: a, port: 1, protocol: TCP}]}",
            "did you mean \"gatewayClassName\"?",
        ),
    ] {
        let texts = texts(object(&version, kind, spec));
        assert!(texts.iter().any(|text| text.contains(words)), "{kind} {spec} → {texts:?}");
    }
    // What there was before v1 asks for less.
    for (version, kind, spec) in [
        (format!("{GROUP}/v1alpha2"), "TLSRoute", "{rules: [{backendRefs: [{name: a, port: 1}]}]}"),
        (
            "gateway.networking.x-k8s.io/v1alpha1".to_owned(),
            "XListenerSet",
            "{parentRef: {name: g}, listeners: [{name: a, protocol: HTTP}]}",
        ),
    ] {
        assert_eq!(texts(object(&version, kind, spec)), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn items_of_lists_and_names_that_are_missing() {
    let route = |metadata: &str| {
        format!("{{apiVersion: {GROUP}/v1, kind: HTTPRoute, metadata: {metadata}, spec: {{rule: []}}}}")
    };
    let list =
        format!("apiVersion: v1\nkind: List\nitems: [{}, {}]\n", route("{name: a}"), route("{name: b}"));
    let paths = |yaml: String| -> Vec<String> {
        messages_of(yaml).iter().map(|message| format!("{} {}", message.object.name, message.path)).collect()
    };
    assert_eq!(paths(list), ["a spec.rule", "b spec.rule"]);
    assert_eq!(paths(route("{}")), [" spec.rule", " metadata"]);
}

#[test]
fn every_document_of_an_object_is_judged() {
    for kind in ["HTTPRoute", "TLSRoute"] {
        let of = |field: &str| {
            format!(
                "{{apiVersion: {GROUP}/v1, kind: {kind}, metadata: {{name: a}}, spec: {{{field}: []}}}}\n"
            )
        };
        let found = messages_of(format!("{}---\n{}", of("rule"), of("hostnames")));
        let [message] = found.iter().filter(|it| it.path.to_string() == "spec.rule").collect::<Vec<_>>()[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(message.document.as_ref().map(|it| it.first_line()), Some(1));
    }
}
