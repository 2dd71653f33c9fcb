//! The two styles over a real socket.

use serde_json::Value;

use super::*;

async fn ask(style: Style, method: reqwest::Method, path: &str, body: &str) -> (u16, Value) {
    let (status, text) = ask_for_text(style, method, path, body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn ask_for_text(style: Style, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, routes(style)).await });
    let request = reqwest::Client::new().request(method, format!("http://{address}{path}"));
    let request =
        request.header("x-canary", "true").header("content-type", "application/json").body(body.to_owned());
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    server.abort();
    (status, text)
}

#[tokio::test]
async fn base64_is_read_in_either_alphabet_and_written() {
    let get = async |path: &str| ask_for_text(Style::Lists, reqwest::Method::GET, path, "").await;
    assert_eq!(get("/base64/cm91dGUtYWxsb3c=").await, (200, "route-allow".to_owned()));
    assert_eq!(get("/base64/decode/Pz8_").await, (200, "???".to_owned()));
    assert_eq!(get("/base64/cm91dGUtZGVueQ==headers").await, (200, "route-deny".to_owned()));
    assert_eq!(get("/base64/encode/route-deny").await, (200, "cm91dGUtZGVueQ==".to_owned()));
    assert_eq!(get("/base64/!").await.0, 400);
}

#[tokio::test]
async fn lists_and_flat_values() {
    let (_, answer) = ask(Style::Lists, reqwest::Method::GET, "/get?a=1&a=2", "").await;
    assert_eq!(answer["headers"]["X-Canary"], serde_json::json!(["true"]));
    assert_eq!(answer["args"]["a"], serde_json::json!(["1", "2"]));
    let (_, answer) = ask(Style::Flat, reqwest::Method::GET, "/headers", "").await;
    assert_eq!(answer["headers"]["X-Canary"], "true");
}

#[tokio::test]
async fn bodies_come_back_and_codes_are_made_to_order() {
    let (_, answer) = ask(Style::Lists, reqwest::Method::POST, "/anything/deep?q=1", "{\"x\":1}").await;
    assert_eq!(answer["json"]["x"], 1);
    assert_eq!(answer["method"], "POST");
    assert!(answer["url"].as_str().is_some_and(|url| url.ends_with("/anything/deep?q=1")));
    assert_eq!(ask(Style::Lists, reqwest::Method::GET, "/status/503", "").await.0, 503);
    assert_eq!(ask(Style::Lists, reqwest::Method::GET, "/status/abc", "").await.0, 400);
    assert_eq!(ask(Style::Lists, reqwest::Method::GET, "/nowhere", "").await.0, 404);
}
