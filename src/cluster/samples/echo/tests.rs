//! Server and client over real sockets.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::counters::Counters;
use super::flags::{self, Settings};
use super::server::{Protocol, accept, instance};
use super::{client, forward};

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

async fn served(protocol: Protocol, settings: &Settings) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut settings = settings.clone();
    settings.server_first = vec![port];
    let instance = instance(&settings, port, protocol, &Arc::new(Counters::default()));
    tokio::spawn(accept(listener, Arc::new(instance), None));
    port
}

async fn told(line: &str) -> Result<String, String> {
    // Whoever comes first installs it for all tests of this process.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    forward::run(&client::parse(&words(line))?).await.map(|output| output.concat())
}

#[tokio::test]
async fn every_protocol_tells_what_reached_the_server() {
    let settings = flags::parse(&words("--version v1 --cluster=west --port 1,2 --port 3")).expect("parses");
    assert_eq!((settings.http.as_slice(), settings.grpc.as_slice()), (&[1, 2, 3][..], &[7070][..]));

    let port = served(Protocol::Http, &settings).await;
    let line =
        format!("--count 2 -H x-user:alice --http2 http://127.0.0.1:{port}/a?codes=418&headers=x-b:c&size=3");
    let text = told(&line).await.expect("answered");
    for wanted in [
        "[0] StatusCode=418\n",
        "[1] ResponseHeader=X-B:c\n",
        "[1 body] ServiceVersion=v1\n",
        "[1 body] Cluster=west\n",
        "[1 body] Proto=HTTP/2.0\n",
        "[1 body] URL=/a?codes=418&headers=x-b:c&size=3\n",
        "[1 body] RequestHeader=X-User:alice\n",
        "[1 body] aaa\n",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let text = told(&format!("--msg hi ws://127.0.0.1:{port}/")).await.expect("answered");
    assert!(text.contains("[0 body] hi\n") && text.contains("[0 body] Method=GET\n"), "{text}");

    let port = served(Protocol::Grpc, &settings).await;
    let line = format!("--msg hi -H x-user:bob -H Host:echo.test grpc://127.0.0.1:{port}");
    let text = told(&line).await.expect("answered");
    assert!(text.contains("[0 body] Host=echo.test\n"), "{text}");
    assert!(
        text.contains("[0 body] Echo=hi\n") && text.contains("[0 body] RequestHeader=x-user:bob\n"),
        "{text}"
    );

    let port = served(Protocol::Tcp, &settings).await;
    let text = told(&format!("--server-first --msg hi tcp://127.0.0.1:{port}")).await.expect("answered");
    assert!(text.contains("[0 body] StatusCode=200\n") && text.ends_with("[0 body] hi\n"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let error = flags::parse(&words("--xds-grpc-server=17070")).expect_err("refused");
    assert!(error.contains("without a proxy"), "{error}");
    // Bound, so that nobody else gets it, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let nobody = closed.local_addr().expect("an address");
    let error = told(&format!("--count 2 http://{nobody}/")).await.expect_err("refused");
    assert!(error.starts_with("2/2 requests had errors; first error: "), "{error}");
    assert!(told("xds:///echo:7070").await.is_err_and(|error| error.contains("grpc://")));
}
