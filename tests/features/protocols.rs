//! What one version of HTTP says and another has to be told.

use crate::mesh::{App, Mesh, status};
use crate::service::{Service, grpc_answer};

#[test]
fn a_grpc_answer_keeps_its_trailers_on_the_way_to_an_http_1_client() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    // Its length is known, and said: only without it is there room for trailers.
    let service = Service::start(|_| grpc_answer(&"hello".to_owned()));
    mesh.add_service("echo", "shop", "grpc", service.address);
    let client = mesh.sidecar_out_at("0.0.0.0", service.address.port()).expect("accepted");
    let answer = client.get_host("echo.shop", "/", "te: trailers\r\ncontent-type: application/grpc\r\n");
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("hello") && answer.ends_with("0\r\ngrpc-status: 0\r\n\r\n"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
}
