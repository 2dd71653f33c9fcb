//! The line of Envoy's debug log that says what is judged: pages on access control read a client's address from it.

use std::net::SocketAddr;

use super::{HttpSubject, Subject};

impl Subject<'_> {
    /// Tells it, where somebody listens.
    pub(super) fn tell(&self) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!("checking request: {}", self.described());
        }
    }

    fn described(&self) -> String {
        let connection = self.connection;
        let ssl = match connection.peer.as_deref() {
            None if connection.tls => "without a certificate of the client".to_owned(),
            None => "none".to_owned(),
            Some(peer) => format!(
                "uriSanPeerCertificate: {}, dnsSanPeerCertificate: {}, subjectPeerCertificate: {}",
                peer.uris.join(","),
                peer.dns.join(","),
                peer.subject
            ),
        };
        format!(
            "requestedServerName: {}, sourceIP: {}, directRemoteIP: {}, remoteIP: {}, localAddress: {}, ssl: {ssl}, headers: {}, dynamicMetadata: {}",
            connection.server_name,
            connection.remote,
            connection.direct_remote,
            SocketAddr::new(self.remote, 0),
            connection.local,
            self.http.as_ref().map(headers).unwrap_or_default(),
            self.metadata.map(|metadata| format!("{metadata:?}")).unwrap_or_default(),
        )
    }
}

/// `':path', '/a'`, and so on, without line breaks.
fn headers(http: &HttpSubject<'_>) -> String {
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":authority", http.authority),
        (b":method", http.method),
        (b":path", http.path),
        (b":scheme", http.scheme),
    ];
    let all = pseudo.into_iter().chain(http.headers.iter());
    let written = all.map(|(name, value)| format!("'{}', '{}'", name.escape_ascii(), value.escape_ascii()));
    written.collect::<Vec<_>>().join(" ")
}
