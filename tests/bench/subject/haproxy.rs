//! HAProxy as one hop, with one thread.

use crate::certificates::SERVER_NAME;

use super::{Hop, Side};

pub(super) fn config(hop: &Hop<'_>) -> String {
    let (bind, server) = match hop.side {
        Side::Plain => (String::new(), String::new()),
        Side::Receives(c) => (
            format!(
                " ssl crt {} ca-file {} verify required ssl-min-ver TLSv1.3",
                c.server.both.display(),
                c.root.display()
            ),
            String::new(),
        ),
        Side::Sends(c) => (
            String::new(),
            format!(
                " ssl crt {} ca-file {} verify required verifyhost {SERVER_NAME} sni str({SERVER_NAME}) ssl-min-ver TLSv1.3",
                c.client.both.display(),
                c.root.display()
            ),
        ),
    };
    format!(
        "global\n    nbthread 1\n    maxconn 4096\n\
         defaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n    http-reuse always\n\
         frontend front\n    bind {listen}{bind}\n    unique-id-format %[uuid()]\n    unique-id-header X-Request-Id\n    default_backend back\n\
         backend back\n    http-request set-header X-Forwarded-Proto http\n    server back {forward}{server}\n",
        listen = hop.listen,
        forward = hop.forward,
    )
}
