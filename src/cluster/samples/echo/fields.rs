//! The text of answers: a field a line, `ServiceVersion=v1`.

use std::net::IpAddr;

/// What tells one server from another.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) port: u16,
    pub(super) version: String,
    pub(super) cluster: String,
    pub(super) istio_version: String,
    /// Of the pod.
    pub(super) host_name: String,
}

/// Lines of fields.
#[derive(Debug, Default)]
pub(super) struct Fields(String);

impl Fields {
    pub(super) fn put(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0 += &format!("{name}={value}\n");
        self
    }

    pub(super) fn put_some(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.put(name, value) }
    }

    /// A header in the order it is given.
    pub(super) fn header(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.put("RequestHeader", format_args!("{name}:{}", String::from_utf8_lossy(value)))
    }

    /// What a server says of itself by protocols without headers.
    pub(super) fn instance(&mut self, identity: &Identity, peer: IpAddr, protocol: &str) -> &mut Self {
        self.put("StatusCode", 200)
            .put_some("Cluster", &identity.cluster)
            .put_some("IstioVersion", &identity.istio_version)
            .put("ServiceVersion", &identity.version)
            .put("ServicePort", identity.port)
            .put("IP", peer)
            .put("Proto", protocol)
    }

    pub(super) fn line(&mut self, text: &str) -> &mut Self {
        self.0 += text;
        self.0.push('\n');
        self
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A header's name as HTTP/1.1 writes it: `x-request-id` is `X-Request-Id`.
pub(super) fn canonical(name: &str) -> String {
    let mut starts = true;
    let letter = |letter: char| {
        let written = if starts { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        starts = letter == '-';
        written
    };
    name.chars().map(letter).collect()
}
