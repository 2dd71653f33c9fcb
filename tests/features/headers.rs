//! Headers that routes and their destinations change.

use sagene_api::istio::networking::VirtualService;

use crate::envoy_filter::gateway;
use crate::mesh::{App, Mesh, body};

#[test]
fn a_destination_changes_headers_both_ways_and_its_route_after_it() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    gateway(&mut mesh, &app);
    let port = app.address.port();
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: ['*'], gateways: [front], http: [{{headers: {{response: {{add: \
         {{x-from: route}}}}}}, route: [{{destination: {{host: web, port: {{number: {port}}}}}, headers: {{request: {{set: {{x-who: canary}}, \
         remove: [user-agent]}}, response: {{add: {{x-from: destination}}}}}}}}]}}]}}}}"
    ));
    let answer = mesh.gateway(8080).expect("accepted").get("/", "user-agent: curl\r\n");
    assert!(body(&answer).contains("x-who: canary\r\n") && !body(&answer).contains("user-agent"), "{answer}");
    let from: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("x-from: ")).collect();
    assert_eq!(from, ["destination", "route"], "{answer}");
}
