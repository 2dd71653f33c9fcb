//! `/server_info`: version, state, age and identity of this proxy.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use serde_json::{Value, json};

use super::AdminServer;

/// `envoy.admin.v3.ServerInfo`.
pub(super) fn report(admin: &AdminServer) -> Value {
    let uptime = format!("{}s", admin.metrics.uptime().as_secs());
    let mut info = json!({
        "version": concat!("sagene/", env!("CARGO_PKG_VERSION"), "/Clean/RELEASE/AWS-LC"),
        "state": admin.health.state().as_str(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": {
            "concurrency": admin.concurrency,
            "log_level": admin.log.as_ref().map_or_else(String::new, |log| log.levels().default.to_string()),
            "disable_hot_restart": true,
            "mode": "Serve",
        },
    });
    if let Some(node) = &admin.bootstrap.node {
        let any = Any { type_url: Node::type_url(), value: node.encode_to_vec() };
        info["node"] = super::json::shown_untyped(&any);
    }
    info
}
