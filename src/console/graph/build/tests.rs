//! Behaviour of the fold: who is drawn, whose word counts, what the labels say.

use std::time::{Duration, Instant};

use super::*;
use crate::telemetry::exposition::parse;
use crate::telemetry::history::{Exposed, History};

fn line(
    reporter: &str,
    source: &str,
    service: &str,
    destination: &str,
    version: &str,
    code: &str,
    tls: &str,
) -> String {
    format!(
        "istio_requests_total{{reporter=\"{reporter}\",source_workload=\"{source}\",source_workload_namespace=\"shop\",\
         source_canonical_service=\"{source}\",source_canonical_revision=\"v1\",source_principal=\"spiffe://a\",\
         destination_workload=\"{destination}-{version}\",destination_workload_namespace=\"shop\",\
         destination_canonical_service=\"{destination}\",destination_canonical_revision=\"{version}\",\
         destination_service=\"{service}.shop.svc.cluster.local\",destination_service_name=\"{service}\",\
         destination_service_namespace=\"shop\",request_protocol=\"http\",response_code=\"{code}\",response_flags=\"-\",\
         connection_security_policy=\"{tls}\"}}"
    )
}

fn exposed(text: &str) -> Vec<Exposed> {
    vec![Exposed { target: "pod".to_owned(), age: None, samples: parse(text, "istio_") }]
}

fn window(lines: &[(String, u32)]) -> Window {
    let mut history = History::default();
    let start = Instant::now();
    history.record(start, Vec::new());
    let text: String = lines.iter().map(|(line, value)| format!("{line} {value}\n")).collect();
    history.record(start + Duration::from_secs(10), exposed(&text));
    history.window(Duration::from_secs(60))
}

fn options(query: &[(&str, &str)]) -> GraphOptions {
    GraphOptions::from_query(query.iter().copied()).expect("options")
}

fn canary() -> Window {
    window(&[
        (line("source", "web", "cart", "cart", "v1", "200", "unknown"), 90),
        (line("destination", "web", "cart", "cart", "v1", "200", "mutual_tls"), 90),
        (line("destination", "web", "cart", "cart", "v2", "200", "mutual_tls"), 8),
        (line("destination", "web", "cart", "cart", "v2", "503", "mutual_tls"), 2),
    ])
}

#[test]
fn a_request_reported_by_both_sides_counts_once() {
    let graph = build(&canary(), &options(&[("injectServiceNodes", "false")]), 0);
    let edge = |target: &str| {
        let wanted = graph.elements.edges.iter().find(|edge| edge.data.target == target);
        wanted.map(|edge| edge.data.clone()).expect("edge")
    };
    let first = edge("app:shop/cart/v1");
    assert_eq!(first.traffic.rates["http"], "9.00");
    assert_eq!(first.traffic.rates["httpPercentReq"], "90.0");
    assert_eq!(first.mutual_tls.as_deref(), Some("100"));
    assert_eq!(first.source_principal.as_deref(), Some("spiffe://a"));
    let second = edge("app:shop/cart/v2");
    assert_eq!(second.traffic.rates["http5xx"], "0.20");
    assert_eq!(second.traffic.rates["httpPercentErr"], "20.0");
    assert_eq!(second.health, Some(crate::health::Health::Failure));
}

#[test]
fn versions_share_a_box_and_services_stand_between() {
    let graph = build(&canary(), &options(&[]), 0);
    let ids: Vec<&str> = graph.elements.nodes.iter().map(|node| node.data.id.as_str()).collect();
    assert_eq!(
        ids,
        ["box:shop/cart", "app:shop/cart/v1", "app:shop/cart/v2", "app:shop/web/v1", "service:shop/cart"]
    );
    assert_eq!(graph.elements.nodes[1].data.parent.as_deref(), Some("box:shop/cart"));
    assert!(graph.elements.nodes[3].data.is_root);
    assert_eq!(graph.elements.edges.len(), 3);
}

#[test]
fn other_namespaces_are_left_out_and_idle_edges_wait_to_be_asked_for() {
    assert!(build(&canary(), &options(&[("namespaces", "other")]), 0).elements.nodes.is_empty());
    let mut history = History::default();
    let text = format!("{} 5\n", line("destination", "web", "cart", "cart", "v1", "200", "none"));
    for beat in 0..2 {
        let now = Instant::now() + Duration::from_secs(beat);
        history.record(now, exposed(&text));
    }
    let idle = history.window(Duration::from_secs(60));
    assert!(build(&idle, &options(&[]), 0).elements.edges.is_empty());
    let graph = build(&idle, &options(&[("includeIdleEdges", "true")]), 0);
    assert_eq!(graph.elements.edges.len(), 2);
    assert!(graph.elements.nodes.iter().all(|node| node.data.is_idle));
}

#[test]
fn a_request_that_never_arrived_is_drawn_from_the_clients_word() {
    let graph = build(
        &window(&[(line("source", "web", "cart", "unknown", "latest", "503", "unknown"), 4)]),
        &options(&[]),
        0,
    );
    // The destination workload is `unknown-latest` here; a real proxy says plain `unknown` and only the service is drawn.
    assert!(graph.elements.edges.iter().all(|edge| edge.data.health == Some(crate::health::Health::Failure)));
}
