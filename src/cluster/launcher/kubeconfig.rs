//! The kubeconfig of the embedded cluster, with its credentials inline.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::CONTEXT;

/// PEM texts of the cluster's administrator.
#[derive(Clone)]
pub(crate) struct AdminCredentials {
    pub(crate) certificate_authority: String,
    pub(crate) client_certificate: String,
    pub(crate) client_key: String,
}

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
            "certificate-authority-data": STANDARD.encode(&credentials.certificate_authority),
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
