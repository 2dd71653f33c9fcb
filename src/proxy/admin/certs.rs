//! `/certs`: the certificates in use and how long they still live.

use std::time::SystemTime;

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use prost::Message;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use crate::config::{ConfigStore, type_url};

/// `envoy.admin.v3.Certificates`: for each secret the certificates it holds.
pub(super) fn report(store: &ConfigStore) -> Value {
    let mut certificates = Vec::new();
    for raw in store.resources(type_url::SECRET) {
        let secret = raw.resource.as_ref().and_then(|any| Secret::decode(any.value.as_slice()).ok());
        match secret.and_then(|secret| secret.r#type) {
            Some(Type::TlsCertificate(tls)) => {
                certificates.push(json!({"cert_chain": describe(tls.certificate_chain.as_ref())}));
            }
            Some(Type::ValidationContext(context)) => {
                certificates.push(json!({"ca_cert": describe(context.trusted_ca.as_ref())}));
            }
            _ => {}
        }
    }
    json!({ "certificates": certificates })
}

fn describe(source: Option<&DataSource>) -> Vec<Value> {
    let (path, bytes) = match source.and_then(|source| source.specifier.as_ref()) {
        Some(Specifier::InlineBytes(bytes)) => ("<inline>".to_owned(), bytes.clone()),
        Some(Specifier::InlineString(text)) => ("<inline>".to_owned(), text.clone().into_bytes()),
        Some(Specifier::Filename(path)) => (path.clone(), std::fs::read(path).unwrap_or_default()),
        _ => return Vec::new(),
    };
    Pem::iter_from_buffer(&bytes)
        .filter_map(Result::ok)
        .filter_map(|pem| pem.parse_x509().ok().map(|certificate| details(&path, &certificate)))
        .collect()
}

fn details(path: &str, certificate: &X509Certificate<'_>) -> Value {
    let names: Vec<Value> = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| extension.value.general_names.iter().filter_map(name).collect())
        .unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let end = certificate.validity().not_after.timestamp();
    let days = (end - i64::try_from(now).unwrap_or(i64::MAX)).max(0) / 86_400;
    json!({
        "path": path,
        "serial_number": certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "subject_alt_names": names,
        "days_until_expiration": days.to_string(),
        "valid_from": moment(certificate.validity().not_before.timestamp()),
        "expiration_time": moment(end),
    })
}

fn name(name: &GeneralName<'_>) -> Option<Value> {
    match name {
        GeneralName::URI(uri) => Some(json!({ "uri": uri })),
        GeneralName::DNSName(dns) => Some(json!({ "dns": dns })),
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(std::net::IpAddr::from),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(std::net::IpAddr::from),
            };
            address.map(|address| json!({ "ip_address": address }))
        }
        _ => None,
    }
}

fn moment(seconds: i64) -> Value {
    jiff::Timestamp::from_second(seconds).map_or(Value::Null, |at| json!(at.to_string()))
}
