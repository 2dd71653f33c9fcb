//! Limits are read, looked up and counted, with a store on a real socket.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::{
    RateLimitDescriptor, rate_limit_descriptor::Entry,
};
use serde_json::{Value, json};

use super::counter::Counter;
use super::limits::Limits;
use super::settings::Settings;
use super::statistics::Statistics;
use super::{Service, serve};
use crate::samples::redis;

fn limits(files: &[(&str, &str)]) -> Result<Limits, String> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Limits::read(&files)
}

fn settings(pairs: &[(&str, String)]) -> Result<Settings, String> {
    Settings::read(|name| pairs.iter().find(|(each, _)| *each == name).map(|(_, value)| value.clone()))
}

fn descriptor(pairs: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).to_owned(), value: (*value).to_owned() };
    RateLimitDescriptor { entries: pairs.iter().map(entry).collect(), ..RateLimitDescriptor::default() }
}

/// By the year: no test runs while a window ends.
const FILE: &str = "
domain: shop
descriptors:
- key: path
  value: /cart
  rate_limit: {unit: year, requests_per_unit: 2, name: cart}
- key: path
  value: /static*
  rate_limit: {unlimited: true}
- key: path
  rate_limit: {unit: year, requests_per_unit: 100}
- key: user
  descriptors:
  - key: path
    value: /cart
    rate_limit: {unit: year, requests_per_unit: 50, replaces: [{name: cart}]}
- key: trial
  shadow_mode: true
  rate_limit: {unit: year, requests_per_unit: 0}
";

#[test]
fn the_most_special_limit_holds() {
    let limits = limits(&[("config.yaml", FILE)]).expect("good");
    let key = |domain: &str, pairs: &[(&str, &str)]| {
        limits.of(domain, &descriptor(pairs)).map(|limit| limit.full_key)
    };
    assert_eq!(key("shop", &[("path", "/cart")]).as_deref(), Some("shop.path_/cart"));
    assert_eq!(key("shop", &[("path", "/static/a.css")]).as_deref(), Some("shop.path_/static*"));
    assert_eq!(key("shop", &[("path", "/else")]).as_deref(), Some("shop.path"));
    assert_eq!(key("shop", &[("user", "a"), ("path", "/cart")]).as_deref(), Some("shop.user.path_/cart"));
    assert_eq!(key("shop", &[("user", "a")]), None, "it is not deep enough");
    assert_eq!(key("shop", &[("path", "/cart"), ("user", "a")]), None, "it is too deep");
    assert_eq!(key("other", &[("path", "/cart")]), None);
    assert!(limits.shown().contains("shop.path_/cart: unit=YEAR requests_per_unit=2, shadow_mode: false\n"));
}

#[test]
fn mistakes_name_the_file_and_the_place() {
    let said = |text: &str| limits(&[("config.yaml", text)]).expect_err("bad");
    assert_eq!(said("descriptors: []"), "config.yaml: config file cannot have empty domain");
    let unknown = said("domain: a\ndescriptors:\n- key: k\n  ratelimit: {}\n");
    assert!(
        unknown.starts_with("config.yaml: error loading config file: ") && unknown.contains("`ratelimit`")
    );
    let unit = "domain: a\ndescriptors:\n- key: k\n  rate_limit: {unit: fortnight, requests_per_unit: 1}\n";
    assert_eq!(said(unit), "config.yaml: a.k: invalid rate limit unit 'fortnight'");
    let twice = "domain: a\ndescriptors:\n- {key: k, value: v}\n- {key: k, value: v}\n";
    assert_eq!(said(twice), "config.yaml: duplicate descriptor composite key 'a.k_v'");
    let domains = limits(&[("a.yaml", "domain: a"), ("b.yaml", "domain: a")]).expect_err("bad");
    assert_eq!(domains, "b.yaml: duplicate domain 'a' in config file");
}

#[test]
fn settings_are_those_of_the_tutorial_and_what_is_not_done_is_refused() {
    let given = [
        ("LOG_LEVEL", "debug"),
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "redis:6379"),
        ("USE_STATSD", "false"),
        ("RUNTIME_ROOT", "/data"),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("RUNTIME_IGNOREDOTFILES", "true"),
        ("HOST", "::"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let settings = settings(&given).expect("good");
    assert_eq!(settings.directory, std::path::Path::new("/data/ratelimit/config"));
    assert_eq!((settings.redis_host.as_str(), settings.redis_port), ("redis", 6379));
    assert_eq!((settings.http.port(), settings.grpc.port(), settings.debug.port()), (8080, 8081, 6070));
    let refused =
        super::settings::Settings::read(|name| (name == "BACKEND_TYPE").then(|| "memcache".to_owned()));
    assert_eq!(refused.expect_err("bad"), "BACKEND_TYPE=memcache: only redis is supported");
}

async fn ask(service: &Arc<Service>, descriptors: Value) -> (StatusCode, Value) {
    let question = json!({"domain": "shop", "descriptors": descriptors});
    let answer = serve::by_json(State(service.clone()), Bytes::from(question.to_string())).await;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("body");
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
}

fn service(redis: std::net::SocketAddr) -> Arc<Service> {
    let settings = settings(&[("REDIS_URL", redis.to_string())]).expect("good");
    let limits = limits(&[("config.yaml", FILE)]).expect("good");
    let counter = Counter::new(&settings);
    let limits = Mutex::new(Some(Arc::new(limits)));
    Arc::new(Service { settings, limits, counter, statistics: Statistics::default() })
}

#[tokio::test]
async fn what_is_used_up_is_refused() {
    let service = service(redis::tests::running(None).await);
    let cart = json!([{"entries": [{"key": "path", "value": "/cart"}]}]);
    let (status, answer) = ask(&service, cart.clone()).await;
    assert_eq!((status, &answer["overallCode"]), (StatusCode::OK, &json!("OK")));
    assert_eq!(answer["statuses"][0]["limitRemaining"], 1);
    let limit = json!({"name": "cart", "requestsPerUnit": 2, "unit": "YEAR"});
    assert_eq!(answer["statuses"][0]["currentLimit"], limit);
    assert_eq!(ask(&service, cart.clone()).await.0, StatusCode::OK);
    let (status, answer) = ask(&service, cart).await;
    assert_eq!((status, &answer["overallCode"]), (StatusCode::TOO_MANY_REQUESTS, &json!("OVER_LIMIT")));
    // The limit of the user replaces the one that is used up; the last one only watches.
    let entries = json!([
        {"entries": [{"key": "path", "value": "/cart"}]},
        {"entries": [{"key": "user", "value": "a"}, {"key": "path", "value": "/cart"}]},
        {"entries": [{"key": "trial", "value": "x"}]},
    ]);
    let (status, answer) = ask(&service, entries).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["statuses"][1]["limitRemaining"], 49);
    let shown = service.statistics.shown();
    assert!(shown.contains("ratelimit.service.rate_limit.shop.path_/cart.over_limit: 1\n"), "{shown}");
    assert!(shown.contains("ratelimit.service.rate_limit.shop.trial.shadow_mode: 1\n"), "{shown}");
}

#[tokio::test]
async fn without_redis_there_is_an_error_and_nothing_is_guessed() {
    // Nobody else can listen on this port of another address while this one is taken.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    let service = service(nobody);
    let (status, answer) = ask(&service, json!([{"entries": [{"key": "path", "value": "/cart"}]}])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.as_str().is_some_and(|text| text.contains(&format!("redis at {nobody}"))), "{answer}");
    assert_eq!(ask(&service, json!([])).await.1, "rate limit descriptor list must not be empty");
}
