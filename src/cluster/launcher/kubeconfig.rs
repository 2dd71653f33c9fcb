//! The kubeconfig of the embedded cluster, with its credentials inline.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{CONTEXT, StateDirectory};
use crate::apiserver::AdminCredentials;

/// Replaces the file in one step, readable by its owner alone.
pub(crate) fn write(
    path: &Path,
    api_address: SocketAddr,
    credentials: &AdminCredentials,
) -> std::io::Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "preferences": {},
        "clusters": [{"name": CONTEXT, "cluster": {
            "server": format!("https://{api_address}"),
            "certificate-authority-data": STANDARD.encode(&credentials.ca_certificate),
        }}],
        "users": [{"name": CONTEXT, "user": {
            "client-certificate-data": STANDARD.encode(&credentials.client_certificate),
            "client-key-data": STANDARD.encode(&credentials.client_key),
        }}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}}],
    });
    let text = serde_yaml::to_string(&config).map_err(std::io::Error::other)?;
    let draft = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&draft, path)
}

/// The port that an earlier daemon wrote, so that kubeconfigs copied from it stay true.
pub(crate) fn port(directory: &StateDirectory) -> Option<u16> {
    let text = std::fs::read_to_string(directory.kubeconfig()).ok()?;
    let config: serde_yaml::Value = serde_yaml::from_str(&text).ok()?;
    let server = config.get("clusters")?.get(0)?.get("cluster")?.get("server")?.as_str()?;
    server.rsplit(':').next()?.parse().ok()
}
