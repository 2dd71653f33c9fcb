//! Certificates that their authority took back: lists (CRL) that stand beside the trust roots.
//!
//! As in Envoy, where there are lists every authority of a chain needs one, unless only the leaf is asked about.

use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use sagene_base::peer_verifier::{JudgeClient, Shown};
use sagene_base::version1::Signed;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::secret::Trust;
use crate::config::FieldError;

/// Lists of revoked certificates.
#[derive(Debug)]
pub(crate) struct Revocations {
    lists: Vec<CertificateRevocationListDer<'static>>,
    only_leaf: bool,
}

impl Revocations {
    pub(super) fn compile(pem: &[u8], only_leaf: bool) -> Result<Self, FieldError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|error| FieldError::new("", format!("is not PEM: {error}")))?;
        let unreadable =
            |list: &CertificateRevocationListDer<'_>| CertificateRevocationList::from_der(list).is_err();
        if lists.is_empty() || lists.iter().any(unreadable) {
            return Err(FieldError::new("", "is no list of revoked certificates"));
        }
        Ok(Self { lists, only_leaf })
    }

    /// Fails for a chain with a revoked certificate, or with one of which no list says anything.
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let read = |der: &CertificateDer<'_>| -> Result<(), CertificateError> {
            let (_, certificate) =
                X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
            // A root stands for itself.
            if certificate.issuer().as_raw() == certificate.subject().as_raw() {
                return Ok(());
            }
            self.check_one(&certificate, intermediates, roots, now, algorithms)
        };
        let others = if self.only_leaf { &[] } else { intermediates };
        std::iter::once(leaf).chain(others).try_for_each(read)
    }

    fn check_one(
        &self,
        certificate: &X509Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let issuer = certificate.issuer().as_raw();
        let mut outcome = Err(CertificateError::UnknownRevocationStatus);
        for der in &self.lists {
            let Ok((_, list)) = CertificateRevocationList::from_der(der) else { continue };
            if list.issuer().as_raw() != issuer || !is_genuine(&list, intermediates, roots, algorithms) {
                continue;
            }
            if list.iter_revoked_certificates().any(|revoked| *revoked.serial() == certificate.serial) {
                return Err(CertificateError::Revoked);
            }
            let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            match list.next_update() {
                Some(until) if until.timestamp() < seconds => {
                    outcome = outcome.or(Err(CertificateError::ExpiredRevocationList));
                }
                _ => outcome = Ok(()),
            }
        }
        outcome
    }
}

/// Whether the authority that a list names signed it: a root, or one that the peer showed.
fn is_genuine(
    list: &CertificateRevocationList<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let signed = Signed {
        data: list.tbs_cert_list.as_ref(),
        algorithm: &list.signature_algorithm,
        signature: &list.signature_value.data,
    };
    let issuer = list.issuer().as_raw();
    let by_intermediate = |der: &CertificateDer<'_>| {
        X509Certificate::from_der(der).is_ok_and(|(_, authority)| {
            authority.subject().as_raw() == issuer && signed.by_key(authority.public_key().raw, algorithms)
        })
    };
    signed.by_root(issuer, roots, algorithms) || intermediates.iter().any(by_intermediate)
}

/// Takes clients of which, all else being well, no list says that they are revoked.
#[derive(Debug)]
pub(super) struct NotRevoked(pub(super) Arc<Trust>);

impl JudgeClient for NotRevoked {
    fn judge(&self, shown: Shown<'_>, inner: &dyn ClientCertVerifier) -> Result<(), Error> {
        let Shown { leaf, intermediates, now, algorithms } = shown;
        inner.verify_client_cert(leaf, intermediates, now)?;
        if let (Some(revocations), Some(roots)) = (&self.0.revocations, &self.0.roots) {
            revocations.check(leaf, intermediates, roots, now, algorithms)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::super::context::PROVIDER;
    use super::*;

    fn authority(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params, KeyPair::generate().expect("a key"))
    }

    fn leaf(issuer: &Issuer<'_, KeyPair>, serial: u64) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, issuer).expect("a certificate").der().clone()
    }

    fn list(issuer: &Issuer<'_, KeyPair>, until: i32) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(7),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).expect("a list").pem().expect("PEM")
    }

    #[test]
    fn who_is_on_the_list_of_its_authority_is_refused() {
        let (params, key) = authority("a");
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).expect("a root").der().clone()).expect("a root");
        let known = Issuer::new(params, key);
        let (params, key) = authority("a");
        let impostor = Issuer::new(params, key);
        let check = |pem: &str, serial: u64| {
            let lists =
                Revocations::compile(pem.as_bytes(), false).map_err(|error| error.reason).expect("reads");
            let algorithms = &PROVIDER.signature_verification_algorithms;
            lists.check(&leaf(&known, serial), &[], &roots, UnixTime::now(), algorithms)
        };
        assert_eq!(check(&list(&known, 4000), 8), Ok(()));
        assert_eq!(check(&list(&known, 4000), 7), Err(CertificateError::Revoked));
        assert_eq!(check(&list(&impostor, 4000), 8), Err(CertificateError::UnknownRevocationStatus));
        assert!(check(&list(&known, 2021), 8).is_err(), "the list is too old");
        assert!(Revocations::compile(b"none", false).is_err());
    }
}
