//! Expressions of access log filters and metric labels.

use crate::access_log::format::Facts;
use crate::config::Direction;
use crate::http::headers::HeaderList;
use crate::http::info::{ConnectionInfo, StreamInfo};

use super::{Cel, CelFacts};

#[test]
fn expressions_are_evaluated_and_what_is_unknown_is_refused() {
    let address = "127.0.0.1:80".parse().expect("address");
    let connection = ConnectionInfo {
        local: address,
        remote: address,
        direct_remote: address,
        caller: None,
        server_name: String::new(),
        tls: false,
        peer: None,
        local_principal: None,
        buffer_limit: 1 << 20,
        direction: Direction::Inbound,
    };
    let mut info = StreamInfo::new("HTTP/1.1");
    info.response_code = 503;
    let mut request = HeaderList::default();
    request.append(b"x-user", b"alice");
    let response = HeaderList::default();
    let pseudo: [&[u8]; 4] = [b"GET", b"/status/503?x=1", b"shop.test", b"http"];
    let facts = CelFacts {
        facts: Facts { info: &info, connection: &connection, request: &request, response: &response, pseudo },
        downstream_peer: None,
        upstream_peer: None,
        generated: &[("istio_operationId".into(), "Get".into())],
    };
    for text in [
        "response.code >= 400",
        "response.code >= 500 && request.url_path == '/status/503'",
        "!has(response.code) || response.code == 503",
        "!(request.url_path.startsWith('/healthz'))",
        "request.headers['x-user'] == \"alice\" && has(request.headers['X-User'])",
        "!('x-none' in request.headers)",
        "connection.mtls == false && !connection.mtls",
        "request.method in ['GET', 'HEAD']",
        "filter_state['wasm.istio_operationId'] == 'Get' && !('wasm.other' in filter_state)",
        "request.url_path.matches('^/status/[[:alnum:]]*$')",
        "request.path.matches('status/[0-9]+') && request.host.endsWith('.test')",
        "(response.code == 200 ? 1 : 2) == 2 && 7 % 4 + 1 == 4 && -1 < 0.5",
        "response.code == 503 || request.headers['x-none'] == 'a'",
        "string(response.code).size() == 3 && size('äö') == 2",
    ] {
        assert!(
            Cel::compile(text).unwrap_or_else(|error| panic!("{}", error.reason)).is_true(&facts),
            "{text}"
        );
    }
    for text in [
        "response.code < 400",
        "request.headers['x-none'] == 'a'",
        "has(response.grpc_status)",
        "1",
        "request.urlpath == 'x'",
        "answer.code.of['it'] != 1",
        "has(answer.code)",
        "answer",
    ] {
        assert!(!Cel::compile(text).expect("compiled").is_true(&facts), "{text}");
    }
    assert_eq!(
        Cel::compile("request.method + '-' + string(response.code)")
            .expect("compiled")
            .text(&facts)
            .as_deref(),
        Some("GET-503")
    );
    for (text, word) in [
        ("response.code >", "ends too early"),
        ("timestamp('x')", "timestamp"),
        ("'open", "no end"),
        ("(((1)", "missing"),
    ] {
        let error = Cel::compile(text).expect_err(text);
        assert!(error.reason.contains(word), "{text}: {}", error.reason);
    }
}

#[test]
fn the_names_that_may_be_written_are_understood() {
    use sagene_model::request_attributes::{ATTRIBUTES, FUNCTIONS, METHODS};
    let attributes = ATTRIBUTES
        .iter()
        .flat_map(|(group, fields)| fields.iter().map(move |field| format!("{group}.{field}")));
    let functions = FUNCTIONS.iter().map(|name| format!("{name}(request.host)"));
    let methods = METHODS.iter().map(|name| match *name {
        "size" | "lowerAscii" | "upperAscii" => format!("request.host.{name}()"),
        _ => format!("request.host.{name}('a')"),
    });
    for text in attributes.chain(functions).chain(methods) {
        assert!(Cel::compile(&text).is_ok(), "{text}");
    }
}
