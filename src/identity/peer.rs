//! Who is at the other end of a TLS connection: the SPIFFE identity of its (already verified) certificate.

use rustls::pki_types::CertificateDer;
use sagene_model::Identity;
use x509_parser::extensions::GeneralName;

/// The first workload identity among the URI names of a certificate. The chain must have been verified.
pub fn identity_of(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.parse().ok(),
        _ => None,
    })
}
