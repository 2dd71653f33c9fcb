//! Verification of upstream servers: signed by a known root, and one of the accepted names.

use std::sync::Arc;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use sagene_base::peer_verifier::{JudgeServer, Shown};
use sagene_base::version1;

use super::names;
use super::secret::Trust;

/// Checks the chain against the roots (without roots, as Envoy, no chain is checked) and the names against the rules.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) trust: Arc<Trust>,
    /// Where there are no rules, the server must prove the name that it is called by.
    pub(crate) by_name: bool,
}

impl JudgeServer for Upstream {
    fn judge(&self, shown: Shown<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        let Shown { leaf, intermediates, now, algorithms } = shown;
        let version1 = match &self.trust.roots {
            Some(roots) => version1::verify(leaf, roots, now, algorithms),
            None => version1::is_one(leaf).then_some(Ok(())),
        };
        let by_name = self.by_name && self.trust.names.is_empty();
        match version1 {
            // It has no place for the names that count.
            Some(_) if by_name => return Err(CertificateError::NotValidForName.into()),
            Some(verified) => verified?,
            None => {
                let parsed = ParsedCertificate::try_from(leaf)?;
                if by_name {
                    verify_server_name(&parsed, server_name)?;
                }
                if let Some(roots) = &self.trust.roots {
                    let all = algorithms.all;
                    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)?;
                }
            }
        }
        if let (Some(revocations), Some(roots)) = (&self.trust.revocations, &self.trust.roots) {
            revocations.check(leaf, intermediates, roots, now, algorithms)?;
        }
        let peer = names::read(leaf).ok_or(CertificateError::BadEncoding)?;
        if names::accepted(&peer, &self.trust.names) {
            Ok(())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }
}
