//! nginx as one hop, in one process.

use std::path::Path;

use crate::certificates::SERVER_NAME;

use super::{Hop, Side};

pub(super) fn config(hop: &Hop<'_>, folder: &Path) -> String {
    let temporary = |kind: &str| format!("{kind}_temp_path {}/nginx-{kind};", folder.display());
    let (listen, tls, scheme) = match hop.side {
        Side::Plain => ("", String::new(), "http"),
        Side::Receives(c) => (
            " ssl",
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client on;",
                c.server.chain.display(),
                c.server.key.display(),
                c.root.display()
            ),
            "http",
        ),
        Side::Sends(c) => (
            "",
            format!(
                "proxy_ssl_certificate {}; proxy_ssl_certificate_key {}; proxy_ssl_trusted_certificate {}; \
                 proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_name {SERVER_NAME}; proxy_ssl_protocols TLSv1.3;",
                c.client.chain.display(),
                c.client.key.display(),
                c.root.display()
            ),
            "https",
        ),
    };
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/nginx-{port}.pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off; keepalive_requests 1000000000; ssl_protocols TLSv1.3;\n {temporary}\n\
         upstream back {{ server {forward}; keepalive 1024; keepalive_requests 1000000000; }}\n\
         server {{\n listen {address}{listen}; {tls}\n\
         location / {{ proxy_pass {scheme}://back; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id; }}\n }}\n}}\n",
        folder = folder.display(),
        port = hop.listen.port(),
        forward = hop.forward,
        address = hop.listen,
        temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temporary).join(" "),
    )
}
