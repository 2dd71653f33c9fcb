//! Localities: near endpoints first, others when these fail, and shares of traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use axum::response::IntoResponse;
use sagene_api::istio::networking::{DestinationRule, ServiceEntry, VirtualService};
use sagene_api::kubernetes::Pod;

use crate::mesh::{App, Mesh, Running, body, status};
use crate::service::Service;
use crate::wait::PATIENCE;

/// Endpoints of `far.example.com`, one in each place, that answer with the name of their place.
struct World {
    mesh: Mesh,
    app: App,
    places: Vec<(&'static str, Arc<AtomicU16>)>,
}

impl World {
    /// The client is in `region1/zone1`.
    fn new(places: &[&'static str]) -> Self {
        let app = App::start();
        let mut mesh = Mesh::new(&app);
        let mut endpoints = Vec::new();
        let mut known = Vec::new();
        for place in places {
            let code = Arc::new(AtomicU16::new(200));
            let (told, name) = (code.clone(), *place);
            let service = Service::start(move |_| {
                let status = axum::http::StatusCode::from_u16(told.load(Ordering::SeqCst)).expect("a status");
                (status, name).into_response()
            });
            let port = service.address.port();
            endpoints.push(format!("{{address: 127.0.0.1, locality: {place}, ports: {{http: {port}}}}}"));
            known.push((*place, code));
        }
        mesh.put::<ServiceEntry>(&format!(
            "{{metadata: {{name: far, namespace: shop}}, spec: {{hosts: [far.example.com], location: MESH_EXTERNAL, resolution: STATIC, \
             ports: [{{number: {}, name: http, protocol: HTTP}}], endpoints: [{}]}}}}",
            app.address.port(),
            endpoints.join(", ")
        ));
        mesh.put::<Pod>(
            "{metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1, istio-locality: region1.zone1}}, \
             spec: {containers: [{name: app}]}, status: {phase: Running, podIP: 127.0.0.1}}",
        );
        Self { mesh, app, places: known }
    }

    fn client(&mut self, policy: &str) -> Running {
        self.mesh.put::<DestinationRule>(&format!(
            "{{metadata: {{name: far, namespace: shop}}, spec: {{host: far.example.com, trafficPolicy: {policy}}}}}"
        ));
        self.mesh.sidecar_out(&self.app).expect("accepted")
    }

    fn fail(&self, place: &str) {
        let (_, code) = self.places.iter().find(|(name, _)| *name == place).expect("a place");
        code.store(503, Ordering::SeqCst);
    }
}

fn ask(client: &Running) -> String {
    client.get_host("far.example.com", "/", "")
}

/// Asks until a place has answered ten times in a row.
fn settles_on(client: &Running, place: &str) {
    let (began, mut row, mut last) = (Instant::now(), 0, String::new());
    while row < 10 {
        assert!(began.elapsed() < 2 * PATIENCE, "expected {place}, the last answer was {last}");
        last = ask(client);
        row = if status(&last) == 200 && body(&last).contains(place) { row + 1 } else { 0 };
    }
}

#[test]
fn traffic_leaves_a_locality_that_fails_for_the_nearest_that_does_not() {
    let mut world = World::new(&["region1/zone1", "region1/zone2", "region2/zone3", "region3/zone4"]);
    let client = world.client(
        "{loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: true, failover: [{from: region1, to: region3}]}}, \
         outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 5m, maxEjectionPercent: 100}}",
    );
    for place in ["region1/zone1", "region1/zone2", "region3/zone4", "region2/zone3"] {
        settles_on(&client, place);
        world.fail(place);
    }
}

#[test]
fn localities_get_their_shares_and_no_more() {
    let places = ["region1/zone1", "region1/zone2", "region2/zone3", "region3/zone4"];
    let mut world = World::new(&places);
    let client = world.client(
        "{loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: region1/zone1/*, \
         to: {'region1/zone1/*': 70, 'region1/zone2/*': 20, 'region3/zone4/*': 10}}]}}}",
    );
    let mut counts = [0; 4];
    for _ in 0..400 {
        let answer = ask(&client);
        let place = places.iter().position(|place| body(&answer).contains(place)).expect("a place");
        counts[place] += 1;
    }
    let expected = [280, 80, 0, 40];
    let is_near = counts.iter().zip(expected).all(|(count, expected)| i32::abs_diff(*count, expected) <= 12);
    assert!(is_near, "{counts:?}");
    assert_eq!(counts[2], 0);
}

#[test]
fn a_retry_leaves_the_locality_where_nothing_else_is_left_or_it_is_told_to() {
    let mut world = World::new(&["region1/zone1", "region2/zone3"]);
    world.fail("region1/zone1");
    for retries in ["attempts: 1", "attempts: 3, retryRemoteLocalities: true"] {
        world.mesh.put::<VirtualService>(&format!(
            "{{metadata: {{name: far, namespace: shop}}, spec: {{hosts: [far.example.com], http: [\
             {{retries: {{{retries}, retryOn: 5xx, backoff: 1ms}}, route: [{{destination: {{host: far.example.com}}}}]}}]}}}}"
        ));
        // So many errors that nothing is left out.
        let client = world.client("{outlierDetection: {consecutive5xxErrors: 1000000, interval: 1s}}");
        let answer = ask(&client);
        assert!(status(&answer) == 200 && body(&answer).contains("region2"), "{retries}: {answer}");
    }
}
