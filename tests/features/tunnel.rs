//! Connections that go through an HTTP proxy outside, by `trafficPolicy.tunnel`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use sagene_api::istio::networking::DestinationRule;
use serde_json::json;

use crate::mesh::{App, Mesh};
use crate::wait::PATIENCE;

/// An HTTP proxy that answers each request with a status line, and then everything it reads with itself in capitals.
fn proxy(answer: &'static str) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let (asked, heads) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if socket.read_exact(&mut byte).is_err() {
                    break;
                }
                head.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&head).into_owned());
            let _ = socket.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes());
            std::thread::spawn(move || {
                let mut piece = [0; 1024];
                while let Ok(count @ 1..) = socket.read(&mut piece) {
                    let _ = socket.write_all(&piece[..count].to_ascii_uppercase());
                }
            });
        }
    });
    (address, heads)
}

fn mesh(proxy: SocketAddr) -> Mesh {
    let mut mesh = Mesh::new(&App::start());
    mesh.add_service("forward-proxy", "shop", "tcp", proxy);
    mesh.put::<DestinationRule>(
        "{metadata: {name: forward-proxy, namespace: shop}, spec: {host: forward-proxy, trafficPolicy: \
         {tunnel: {protocol: CONNECT, targetHost: db.example.com, targetPort: 5432}}}}",
    );
    mesh
}

#[test]
fn bytes_go_through_the_proxy_that_was_asked_for_the_target() {
    let (address, heads) = proxy("200 Connection established");
    let client = mesh(address).sidecar_out_at("10.96.0.20", address.port()).expect("accepted");
    let mut socket = TcpStream::connect(client.address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(b"select 1").expect("write");
    let mut answer = [0; 8];
    socket.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"SELECT 1");
    let head = heads.recv_timeout(PATIENCE).expect("a request");
    assert_eq!(head, "CONNECT db.example.com:5432 HTTP/1.1\r\nhost: db.example.com:5432\r\n\r\n");
}

#[test]
fn a_refusal_ends_the_connection_and_stands_in_the_log() {
    let (address, _heads) = proxy("403 Forbidden");
    let mut mesh = mesh(address);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogFormat": "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"}));
    let client = mesh.sidecar_out_at("10.96.0.20", address.port()).expect("accepted");
    let mut socket = TcpStream::connect(client.address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert_eq!(log.wait_for_line(), "UF,URX tunnel_response:403");
}
