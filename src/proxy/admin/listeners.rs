//! `/listeners`: listening sockets and the addresses they really have.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::worker::Proxy;

/// Envoy's lines `name::address`.
pub(super) fn as_text(proxy: &Proxy) -> String {
    let mut text = String::new();
    for (name, address) in proxy.listening() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}::{address}");
    }
    text
}

/// `envoy.admin.v3.Listeners`.
pub(super) fn as_json(proxy: &Proxy) -> Value {
    let statuses: Vec<Value> = proxy
        .listening()
        .into_iter()
        .map(|(name, address)| {
            json!({
                "name": name,
                "local_address": {"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}},
            })
        })
        .collect();
    json!({ "listener_statuses": statuses })
}
