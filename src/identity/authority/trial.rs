//! Whether peers accept what an authority signs: tried with a certificate, as they would see it.

use std::time::Duration;

use rustls::{
    CertificateError,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{AuthorityError, CertificateAuthority, root_store};

/// A name that nobody has (RFC 6761).
const NAME: &str = "trial.invalid";

/// Signs a certificate that nobody gets and checks it under `roots` (PEM).
pub(super) fn accepted(authority: &CertificateAuthority, roots: &str) -> Result<(), AuthorityError> {
    let identity = format!("spiffe://{NAME}/ns/trial/sa/trial");
    let own = authority.issue_server(&[NAME.to_owned()], &identity, Duration::from_secs(60))?;
    let wrong = || AuthorityError::Certificate("cert-chain.pem");
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(own.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| wrong())?;
    let (leaf, rest) = chain.split_first().ok_or_else(wrong)?;
    let provider = sagene_base::crypto::provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(root_store(roots)?, provider)
        .build()
        .map_err(|_| AuthorityError::Certificate("root-cert.pem"))?;
    let name = ServerName::try_from(NAME).map_err(|_| AuthorityError::Name(NAME.to_owned()))?;
    match verifier.verify_server_cert(leaf, rest, &name, &[], UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err(AuthorityError::Expired),
        Err(error) => Err(AuthorityError::NotUnderRoot(error)),
    }
}
