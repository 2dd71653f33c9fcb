//! The names in a certificate, and matching them.

use std::net::IpAddr;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::SanMatch;
use crate::http::info::TlsPeer;

/// Reads subject and alternative names of a certificate (DER). Names with NUL bytes are not names.
pub(crate) fn read(der: &[u8]) -> Option<TlsPeer> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut peer =
        TlsPeer { subject: subject(&certificate), certificate: der.to_vec(), ..TlsPeer::default() };
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) if !uri.contains('\0') => peer.uris.push((*uri).to_owned()),
                GeneralName::DNSName(dns) if !dns.contains('\0') => peer.dns.push((*dns).to_owned()),
                GeneralName::RFC822Name(email) if !email.contains('\0') => {
                    peer.emails.push((*email).to_owned())
                }
                GeneralName::IPAddress(bytes) => {
                    peer.addresses.extend(address(bytes).map(|ip| ip.to_string()))
                }
                _ => {}
            }
        }
    }
    peer.principal = peer.uris.first().map(|uri| Arc::from(uri.as_str()));
    let digest = x509_digest(der);
    peer.hash = digest;
    Some(peer)
}

/// Four bytes or sixteen.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// RFC 2253 order: most specific part first.
fn subject(certificate: &X509Certificate<'_>) -> String {
    let text = certificate.subject().to_string();
    let mut parts: Vec<_> = text.split(", ").filter(|part| !part.is_empty()).collect();
    parts.reverse();
    parts.join(",")
}

fn x509_digest(der: &[u8]) -> String {
    use std::fmt::Write;
    let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .map(|suite| suite.common.hash_provider.hash(der));
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref().map(AsRef::as_ref).unwrap_or_default() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Whether one of the certificate's names is accepted; no rules accept every name.
pub(crate) fn accepted(peer: &TlsPeer, rules: &[SanMatch]) -> bool {
    rules.is_empty() || rules.iter().any(|rule| rule.accepts(peer))
}
