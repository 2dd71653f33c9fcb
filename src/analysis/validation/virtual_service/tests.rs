//! VirtualServices that are valid, and such that are not.

use super::*;
use crate::validation::Severity;

fn problems(spec: &str) -> Vec<String> {
    let spec: VirtualService = serde_yaml::from_str(spec).expect("a spec");
    let problems = VirtualService::problems(&Object::new("n", "v", spec));
    let sign = |problem: &Problem| if problem.severity == Severity::Warning { "warning " } else { "" };
    problems.iter().map(|problem| format!("{}{}", sign(problem), problem.path)).collect()
}

fn one(spec: &str, path: &str) {
    let found = problems(spec);
    assert!(found.iter().any(|problem| problem == path), "{spec} → {found:?}");
}

fn route(rest: &str, path: &str) {
    one(
        &format!("hosts: [a]\nhttp: [{{route: [{{destination: {{host: a}}}}], {rest}}}]"),
        &format!("spec.http[0].{path}"),
    );
}

const ROUTE: &str = "http: [{route: [{destination: {host: a}}]}]";

#[test]
fn what_is_fine_is_fine() {
    for good in [
        format!("hosts: [a, '*.b.com']\n{ROUTE}"),
        format!("hosts: ['*']\ngateways: [g, ns/g2]\n{ROUTE}"),
        format!("hosts: ['1', a]\n{ROUTE}"),
        "hosts: [a]\ngateways: [g, mesh]\nhttp: [{match: [{headers: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: a}}]}]".to_owned(),
        "http: [{match: [{headers: {'@request.auth.claims[sub]': {exact: a}}}], route: [{destination: {host: a}}]}]".to_owned(),
        format!("hosts: [10.0.0.1, '2001:db8::1', a.b.c.]\n{ROUTE}"),
        "http: [{route: [{destination: {host: a}}]}]".to_owned(),
        "hosts: [a]\nhttp: [{redirect: {uri: /x}}]".to_owned(),
        "hosts: [a]\nhttp: [{mirror: {host: b}, mirrorPercentage: {value: 0.00001}, route: [{destination: {host: a}}]}]".to_owned(),
        "hosts: [a]\nhttp: [{delegate: {name: b, namespace: c}, match: [{uri: {prefix: /}}]}]".to_owned(),
        "hosts: [a]\nhttp: [{directResponse: {status: 503, body: {string: x}}}]".to_owned(),
        "hosts: [a]\nhttp: [{match: [{uri: {regex: '/a(b|c)+'}}], timeout: 5s, retries: {attempts: 3, retryOn: '5xx,503', perTryTimeout: 2s}, route: [{destination: {host: a}, weight: 0}, {destination: {host: b, port: {number: 80}}, weight: 100}]}]".to_owned(),
        "hosts: [a]\nhttp: [{headers: {request: {set: {':authority': b, x-a: '%START_TIME% 100%%'}, remove: [x-b]}}, route: [{destination: {host: a}}]}]".to_owned(),
        "hosts: [a]\nhttp: [{match: [{uri: {prefix: ''}, headers: {x.a: {exact: ''}, x-b: {}}}], corsPolicy: {allowOrigins: [{exact: '*'}], allowMethods: [GET, '*'], maxAge: 24h}, fault: {delay: {fixedDelay: 1s, percentage: {value: 0.1}}, abort: {grpcStatus: UNAVAILABLE}}, route: [{destination: {host: a}}]}]".to_owned(),
        "hosts: [a]\ntcp: [{match: [{port: 9000, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}]".to_owned(),
        "hosts: ['*.a.com']\ntls: [{match: [{sniHosts: [b.a.com, '*.c.a.com']}], route: [{destination: {host: a}}]}]".to_owned(),
    ] {
        assert_eq!(problems(&good), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn hosts_and_gateways() {
    one(&format!("hosts: ['*']\n{ROUTE}"), "spec.hosts[0]");
    one(&format!("hosts: [a, a]\n{ROUTE}"), "spec.hosts[1]");
    one(&format!("hosts: ['*.b.com', a.b.com]\n{ROUTE}"), "spec.hosts[1]");
    one(&format!("hosts: [a_b.c]\n{ROUTE}"), "spec.hosts[0]");
    one(&format!("hosts: ['a.*']\n{ROUTE}"), "spec.hosts[0]");
    one(&format!("hosts: [a.b.1]\n{ROUTE}"), "spec.hosts[0]");
    one(&format!("hosts: [a..b]\n{ROUTE}"), "spec.hosts[0]");
    one(&format!("gateways: [g]\n{ROUTE}"), "spec.gateways");
    one(&format!("hosts: [a]\ngateways: [a/b/c]\n{ROUTE}"), "spec.gateways[0]");
    one(&format!("hosts: [a]\ngateways: ['*/b']\n{ROUTE}"), "spec.gateways[0]");
    one(&format!("hosts: [a]\ngateways: [./b]\n{ROUTE}"), "spec.gateways[0]");
    one(&format!("hosts: [a]\ngateways: [n/b.c]\n{ROUTE}"), "spec.gateways[0]");
    one(&format!("hosts: [a]\ngateways: [b.n.svc.cluster.local]\n{ROUTE}"), "warning spec.gateways[0]");
    one(&format!("hosts: [a]\nexportTo: ['~']\n{ROUTE}"), "spec.exportTo[0]");
    one(
        "hosts: [a]\nhttp: [{match: [{withoutHeaders: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: a}}]}]",
        "spec.http[0].match[0].withoutHeaders.@request.auth.claims.sub",
    );
    one("hosts: [a]", "spec");
}

#[test]
fn actions_exclude_each_other() {
    one("hosts: [a]\nhttp: [{route: [{destination: {host: a}}], redirect: {uri: /}}]", "spec.http[0]");
    one("hosts: [a]\nhttp: [{match: [{uri: {prefix: /}}]}]", "spec.http[0]");
    one("hosts: [a]\nhttp: [{redirect: {uri: /, redirectCode: 200}}]", "spec.http[0].redirect.redirectCode");
    one("hosts: [a]\nhttp: [{redirect: {redirectCode: 301}}]", "spec.http[0].redirect");
    one("hosts: [a]\nhttp: [{redirect: {uri: /a, scheme: ftp}}]", "spec.http[0].redirect.scheme");
    one("hosts: [a]\nhttp: [{redirect: {uri: /a}, rewrite: {uri: /b}}]", "spec.http[0].rewrite");
    one("hosts: [a]\nhttp: [{directResponse: {status: 99}}]", "spec.http[0].directResponse.status");
    one("hosts: [a]\nhttp: [{delegate: {name: ''}}]", "spec.http[0].delegate.name");
    one("hosts: [a]\nhttp: [{delegate: {name: a}, match: [{uri: {regex: a}}]}]", "spec.http[0].match[0].uri");
    one("http: [{delegate: {name: a}}]", "spec.http[0].delegate");
}

#[test]
fn fields_of_a_route() {
    one(
        "hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}]",
        "spec.http[0].route",
    );
    one(
        "hosts: [a]\nhttp: [{route: [{destination: {host: a, port: {number: 99999}}}]}]",
        "spec.http[0].route[0].destination.port.number",
    );
    for (rest, path) in [
        ("match: [{uri: {regex: '('}}]", "match[0].uri.regex"),
        ("match: [{headers: {'a b': {exact: a}}}]", "match[0].headers.a b"),
        ("match: [{sourceLabels: {a: 'b c'}}]", "match[0].sourceLabels.a"),
        ("match: [{port: 70000}]", "match[0].port"),
        ("match: [{sourceNamespace: A_b}]", "match[0].sourceNamespace"),
        ("timeout: 0.1ms", "timeout"),
        ("retries: {attempts: -1}", "retries.attempts"),
        ("retries: {attempts: 0, perTryTimeout: 1s}", "retries"),
        ("retries: {attempts: 1, retryOn: '5xx,,reset'}", "retries.retryOn"),
        ("retries: {attempts: 1, retryOn: '599'}", "retries.retryOn"),
        ("fault: {abort: {httpStatus: 20}}", "fault.abort.httpStatus"),
        ("fault: {abort: {grpcStatus: NOPE}}", "fault.abort.grpcStatus"),
        ("fault: {abort: {httpStatus: 500, percentage: {value: 0.00001}}}", "fault.abort.percentage.value"),
        ("fault: {delay: {fixedDelay: 1s, percent: 101}}", "fault.delay.percent"),
        ("fault: {}", "fault"),
        ("mirror: {host: a}, mirrors: [{destination: {host: b}}]", "mirrors"),
        ("mirror: {host: a}, mirrorPercentage: {value: 101}", "mirrorPercentage.value"),
        ("mirror: {host: a}, mirrorPercent: 101", "mirrorPercent"),
        ("rewrite: {}", "rewrite"),
        ("rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}", "rewrite"),
        ("rewrite: {uriRegexRewrite: {match: a}}", "rewrite.uriRegexRewrite"),
        ("corsPolicy: {maxAge: 1.5s}", "corsPolicy.maxAge"),
        ("corsPolicy: {allowMethods: [FETCH]}", "corsPolicy.allowMethods[0]"),
        ("corsPolicy: {allowOrigins: [{exact: ''}]}", "corsPolicy.allowOrigins[0]"),
        ("headers: {request: {set: {':path': /}}}", "headers.request.set.:path"),
        ("headers: {request: {set: {x-a: 'at 100%'}}}", "headers.request.set.x-a"),
        ("headers: {request: {set: {host: b}, add: {':authority': c}}}", "headers.request.add.:authority"),
        ("rewrite: {authority: b}, headers: {request: {set: {Host: c}}}", "rewrite.authority"),
        ("match: [{method: {prefix: ''}}]", "match[0].method.prefix"),
        ("match: [{headers: {a: {prefix: ''}}}]", "match[0].headers.a.prefix"),
        ("match: [{uri: {regex: ''}}]", "match[0].uri.regex"),
        ("match: [{queryParams: {a: {regex: ''}}}]", "match[0].queryParams.a.regex"),
        ("mirrorPercentage: {value: 100.5}", "mirrorPercentage.value"),
        ("fault: {abort: {grpcStatus: '14'}}", "fault.abort.grpcStatus"),
        ("retries: {attempts: 0, retryRemoteLocalities: true}", "retries"),
        ("headers: {request: {remove: [Host]}}", "headers.request.remove[0]"),
        ("headers: {response: {add: {':status': '200'}}}", "headers.response.add.:status"),
        ("headers: {response: {add: {a: \"b\\nc\"}}}", "headers.response.add.a"),
    ] {
        route(rest, path);
    }
}

#[test]
fn connections() {
    one("hosts: [a]\ntls: [{match: [{}], route: [{destination: {host: a}}]}]", "spec.tls[0].match[0]");
    one(
        "hosts: [a.com]\ntls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: a}}]}]",
        "spec.tls[0].match[0].sniHosts[0]",
    );
    one("hosts: [a]\ntls: [{match: [{sniHosts: [a]}]}]", "spec.tls[0]");
    one(
        "hosts: [a]\ntls: [{match: [{sniHosts: [10.0.0.1]}], route: [{destination: {host: a}}]}]",
        "warning spec.tls[0].match[0].sniHosts[0]",
    );
    one("hosts: [a]\ntcp: [{}]", "spec.tcp[0]");
    one(
        "hosts: [a]\ntcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: a}}]}]",
        "spec.tcp[0].match[0].destinationSubnets[0]",
    );
    one("hosts: [a]\ntcp: [{route: [{destination: {host: '*'}}]}]", "spec.tcp[0].route[0].destination.host");
}
