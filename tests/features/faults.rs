//! Injected faults: who is delayed, who is refused, and what the log says of it.

use std::time::{Duration, Instant};

use sagene_api::istio::networking::VirtualService;
use serde_json::json;

use crate::mesh::{App, Mesh, body, status};

fn with_fault(mesh: &mut Mesh, app: &App, fault: &str) {
    let port = app.address.port();
    mesh.put::<VirtualService>(&format!(
        "{{metadata: {{name: web, namespace: shop}}, spec: {{hosts: [web], http: [\
         {{match: [{{headers: {{end-user: {{exact: jason}}}}}}], fault: {{{fault}}}, route: [{{destination: {{host: web, port: \
         {{number: {port}}}}}}}]}}, {{route: [{{destination: {{host: web}}}}]}}]}}}}"
    ));
}

#[test]
fn aborts_never_reach_the_service_and_only_concern_who_matches() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogFormat": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"}));
    with_fault(&mut mesh, &app, "abort: {percentage: {value: 100}, httpStatus: 500}");
    let client = mesh.sidecar_out(&app).expect("accepted");
    let answer = client.get("/", "end-user: jason\r\n");
    assert_eq!((status(&answer), body(&answer), app.served()), (500, "fault filter abort", 0));
    assert_eq!((status(&client.get("/", "end-user: anna\r\n")), app.served()), (200, 1));
    log.wait_for("500 FI fault_filter_abort\n200 - via_upstream\n");
    drop(client);

    with_fault(&mut mesh, &app, "abort: {percentage: {value: 30}, httpStatus: 503}");
    let client = mesh.sidecar_out(&app).expect("accepted");
    let refused = (0..400).filter(|_| status(&client.get("/", "end-user: jason\r\n")) == 503).count();
    assert!((75..=165).contains(&refused), "{refused} of 400");
    assert_eq!(app.served(), 1 + 400 - refused);
}

#[test]
fn delays_come_alone_and_before_aborts() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    let (_folder, log) = mesh.log_to_file();
    mesh.configure(json!({"accessLogFormat": "%RESPONSE_CODE% %RESPONSE_FLAGS%"}));
    let delay = "delay: {percentage: {value: 100}, fixedDelay: 0.4s}";
    for (fault, code, line) in [
        (delay.to_owned(), 200, "200 DI\n"),
        (
            format!("{delay}, abort: {{percentage: {{value: 100}}, httpStatus: 418}}"),
            418,
            "200 DI\n418 DI,FI\n",
        ),
    ] {
        with_fault(&mut mesh, &app, &fault);
        let client = mesh.sidecar_out(&app).expect("accepted");
        let began = Instant::now();
        assert_eq!(status(&client.get("/", "end-user: jason\r\n")), code);
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
        log.wait_for(line);
    }
    assert_eq!(app.served(), 1);
}

#[test]
fn aborts_with_a_grpc_status_answer_in_the_callers_way() {
    let app = App::start();
    let mut mesh = Mesh::new(&app);
    with_fault(&mut mesh, &app, "abort: {percentage: {value: 100}, grpcStatus: UNAVAILABLE}");
    let client = mesh.sidecar_out(&app).expect("accepted");
    let answer = client.get("/", "end-user: jason\r\ncontent-type: application/grpc\r\n");
    assert!(status(&answer) == 200 && answer.contains("grpc-status: 14\r\n"), "{answer}");
    assert!(answer.contains("grpc-message: fault filter abort\r\n"), "{answer}");
    let answer = client.get("/", "end-user: jason\r\n");
    // Envoy's filter sets 200 where a gRPC status is given, whoever asks.
    assert_eq!((status(&answer), body(&answer)), (200, "fault filter abort"));
}
