//! Cipher suites and key exchanges that a context allows, by OpenSSL's names.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};

use super::context::PROVIDER;
use crate::config::FieldError;
use crate::config::proto::tls;

/// The suites of TLS 1.2 that exist here; those of TLS 1.3 are not chosen by configuration.
const SUITES: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const CURVES: [(&str, &dyn SupportedKxGroup); 4] = [
    ("X25519", aws_lc_rs::kx_group::X25519),
    ("P-256", aws_lc_rs::kx_group::SECP256R1),
    ("P-384", aws_lc_rs::kx_group::SECP384R1),
    ("X25519MLKEM768", aws_lc_rs::kx_group::X25519MLKEM768),
];

/// What connections are made with. Suites and curves that do not exist here are left out: the rest is what both sides can
/// agree on. A list of which nothing is left is refused.
pub(super) fn provider(from: &tls::TlsParameters) -> Result<Arc<CryptoProvider>, FieldError> {
    if !from.signature_algorithms.is_empty() {
        return Err(FieldError::new("signature_algorithms", "is not supported"));
    }
    if from.cipher_suites.is_empty() && from.ecdh_curves.is_empty() {
        return Ok(PROVIDER.clone());
    }
    let mut provider = PROVIDER.as_ref().clone();
    if !from.cipher_suites.is_empty() {
        provider.cipher_suites = suites(&from.cipher_suites, &provider.cipher_suites)?;
    }
    if !from.ecdh_curves.is_empty() {
        provider.kx_groups = curves(&from.ecdh_curves)?;
    }
    Ok(Arc::new(provider))
}

fn suites(
    wanted: &[String],
    known: &[SupportedCipherSuite],
) -> Result<Vec<SupportedCipherSuite>, FieldError> {
    // `[A|B]` = either is as good.
    let names = wanted.iter().flat_map(|each| each.trim_matches(['[', ']']).split('|'));
    let chosen = names.filter_map(|name| {
        let (_, suite) = SUITES.iter().find(|(known, _)| *known == name)?;
        known.iter().find(|each| each.suite() == *suite).copied()
    });
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        let exist = SUITES.map(|(name, _)| name).join(", ");
        return Err(FieldError::new("cipher_suites", format!("names none that is supported: {exist}")));
    }
    let newest = known.iter().filter(|each| each.version().version == ProtocolVersion::TLSv1_3);
    Ok(newest.copied().chain(chosen).collect())
}

fn curves(wanted: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, FieldError> {
    let chosen = wanted.iter().filter_map(|name| CURVES.iter().find(|(known, _)| known == name));
    let chosen: Vec<_> = chosen.map(|(_, group)| *group).collect();
    if chosen.is_empty() {
        let exist = CURVES.map(|(name, _)| name).join(", ");
        return Err(FieldError::new("ecdh_curves", format!("names none that is supported: {exist}")));
    }
    Ok(chosen)
}
