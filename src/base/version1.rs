//! Certificates of X.509 version 1, which have no extensions: what `openssl x509 -req` makes unless it is told more, and so what many
//! a guide hands out. The verifier of the TLS library refuses their very form; here a leaf of that form counts when a root of trust
//! signed it itself.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore};
use webpki::RawPublicKeyEntity;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};
use x509_parser::x509::AlgorithmIdentifier;

use crate::peer_verifier::{JudgeClient, Shown};

/// Reads a certificate if it is one of version 1.
fn read<'c>(certificate: &'c CertificateDer<'_>) -> Option<X509Certificate<'c>> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    (read.version() == X509Version::V1).then_some(read)
}

/// Whether the certificate is one of version 1.
pub fn is_one(certificate: &CertificateDer<'_>) -> bool {
    read(certificate).is_some()
}

/// Whether a root signed the certificate and it is valid now; `None` for certificates of other versions. Names are not looked at.
pub fn verify(
    certificate: &CertificateDer<'_>,
    roots: &RootCertStore,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<Result<(), Error>> {
    let leaf = read(certificate)?;
    Some(check(&leaf, roots, now, algorithms).map_err(Error::from))
}

fn check(
    leaf: &X509Certificate<'_>,
    roots: &RootCertStore,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateError> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < leaf.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if seconds > leaf.validity().not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    let issuer = content(leaf.issuer().as_raw());
    let mut anchors = roots.roots.iter().filter(|root| Some(root.subject.as_ref()) == issuer);
    let signed = Signed {
        data: leaf.tbs_certificate.as_ref(),
        algorithm: &leaf.signature_algorithm,
        signature: &leaf.signature_value.data,
    };
    match anchors.any(|anchor| signed.by_anchor(anchor, algorithms)) {
        true => Ok(()),
        false => Err(CertificateError::UnknownIssuer),
    }
}

/// Something that an authority signed: a certificate, a list of revoked ones.
#[derive(Debug)]
pub struct Signed<'s> {
    /// What was signed.
    pub data: &'s [u8],
    /// How.
    pub algorithm: &'s AlgorithmIdentifier<'s>,
    /// The signature.
    pub signature: &'s [u8],
}

impl Signed<'_> {
    /// Whether a root of this name and key signed it.
    pub fn by_root(
        &self,
        name: &[u8],
        roots: &RootCertStore,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let name = content(name);
        let mut anchors = roots.roots.iter().filter(|root| Some(root.subject.as_ref()) == name);
        anchors.any(|anchor| self.by_anchor(anchor, algorithms))
    }

    fn by_anchor(&self, anchor: &TrustAnchor<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        self.by_key(&sequence(anchor.subject_public_key_info.as_ref()), algorithms)
    }

    /// Whether a key (its `SubjectPublicKeyInfo`) signed it.
    pub fn by_key(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let key = SubjectPublicKeyInfoDer::from(key);
        let (Ok(key), Some(wanted)) = (RawPublicKeyEntity::try_from(&key), identifier(self.algorithm)) else {
            return false;
        };
        let mut fitting = algorithms.all.iter().filter(|each| each.signature_alg_id().as_ref() == wanted);
        fitting.any(|algorithm| key.verify_signature(*algorithm, self.data, self.signature).is_ok())
    }
}

/// The value of a DER element without its head.
fn content(der: &[u8]) -> Option<&[u8]> {
    let long = usize::from(*der.get(1)?);
    let head = if long < 0x80 { 2 } else { 2 + (long & 0x7f) };
    der.get(head..)
}

/// A DER sequence around a value.
fn sequence(value: &[u8]) -> Vec<u8> {
    let bytes = value.len().to_be_bytes();
    let significant = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let mut made = vec![0x30];
    if value.len() < 0x80 {
        made.extend_from_slice(significant);
    } else {
        // At most eight bytes of length.
        made.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
        made.extend_from_slice(significant);
    }
    made.extend_from_slice(value);
    made
}

/// The value of an algorithm identifier: its name, then nothing or the empty parameters of RSA.
fn identifier(algorithm: &AlgorithmIdentifier<'_>) -> Option<Vec<u8>> {
    let name = algorithm.algorithm.as_bytes();
    let mut made = vec![0x06, u8::try_from(name.len()).ok().filter(|length| *length < 0x80)?];
    made.extend_from_slice(name);
    if algorithm.parameters.is_some() {
        made.extend_from_slice(&[0x05, 0x00]);
    }
    Some(made)
}

/// Checks a signature of the handshake in TLS 1.2.
///
/// # Errors
/// The signature is not of the certificate's key, or that key cannot be read.
pub fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(leaf) = read(certificate) else {
        return verify_tls12_signature(message, certificate, dss, algorithms);
    };
    let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
    let bad = |_| Error::from(CertificateError::BadEncoding);
    let key = RawPublicKeyEntity::try_from(&key).map_err(bad)?;
    let offered = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
    let valid = offered
        .flat_map(|(_, list)| list.iter())
        .any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok());
    if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
}

/// Checks a signature of the handshake in TLS 1.3.
///
/// # Errors
/// The signature is not of the certificate's key, or that key cannot be read.
pub fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    match read(certificate) {
        Some(leaf) => {
            let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
            verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
        }
        None => verify_tls13_signature(message, certificate, dss, algorithms),
    }
}

/// A certificate with its key, as either side of a handshake shows it. That they belong together is checked for the versions that
/// the library reads.
///
/// # Errors
/// A key that cannot be read, or one of another certificate.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<SingleCertAndKey>, Error> {
    let key = provider.key_provider.load_private_key(key)?;
    let made = CertifiedKey::new(chain, key);
    match made.keys_match() {
        Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(error) => match made.cert.first().and_then(read) {
            Some(leaf) if made.key.public_key().is_some_and(|own| *own == *leaf.public_key().raw) => {}
            _ => return Err(error),
        },
        Ok(()) => {}
    }
    Ok(Arc::new(SingleCertAndKey::from(made)))
}

/// Takes clients that the library's verifier takes, and leaves of version 1 that one of these roots signed.
#[derive(Debug)]
pub struct Clients(pub Arc<RootCertStore>);

impl JudgeClient for Clients {
    fn judge(&self, shown: Shown<'_>, library: &dyn ClientCertVerifier) -> Result<(), Error> {
        let verified = verify(shown.leaf, &self.0, shown.now, shown.algorithms);
        verified.unwrap_or_else(|| {
            library.verify_client_cert(shown.leaf, shown.intermediates, shown.now).map(|_| ())
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::crypto::provider;

    /// ecdsa-with-SHA256.
    const ALGORITHM: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

    fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut made = sequence(value);
        made[0] = tag;
        made
    }

    /// A leaf of version 1 for `key`, signed by `signer`.
    fn leaf(key: &KeyPair, issuer: &[u8], signer: &KeyPair, until: &str) -> CertificateDer<'static> {
        let own = CertificateParams::new(Vec::new()).expect("names").self_signed(key).expect("a certificate");
        let (_, read) = X509Certificate::from_der(own.der()).expect("readable");
        let validity = [tagged(0x17, b"200101000000Z"), tagged(0x17, until.as_bytes())].concat();
        let parts = [
            &[0x02, 0x01, 0x01],
            &ALGORITHM[..],
            issuer,
            &sequence(&validity),
            read.subject().as_raw(),
            read.public_key().raw,
        ];
        let signed = sequence(&parts.concat());
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &signer.serialize_der());
        let signature = pair.expect("a key").sign(&SystemRandom::new(), &signed).expect("a signature");
        let bits = tagged(0x03, &[&[0], signature.as_ref()].concat());
        sequence(&[&signed, &ALGORITHM[..], &bits].concat()).into()
    }

    #[test]
    fn a_leaf_of_version_1_counts_if_a_root_signed_it() {
        let (root_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&root_key).expect("a root");
        let (_, read) = X509Certificate::from_der(root.der()).expect("readable");
        let issuer = read.subject().as_raw().to_vec();
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).expect("a root");
        let provider = provider();
        let algorithms = &provider.signature_verification_algorithms;
        let checked = |leaf: &CertificateDer<'_>| verify(leaf, &roots, UnixTime::now(), algorithms);
        let good = leaf(&key, &issuer, &root_key, "490101000000Z");
        assert_eq!(checked(&good), Some(Ok(())));
        let expired = leaf(&key, &issuer, &root_key, "210101000000Z");
        assert_eq!(checked(&expired), Some(Err(CertificateError::Expired.into())));
        let forged = leaf(&key, &issuer, &key, "490101000000Z");
        assert_eq!(checked(&forged), Some(Err(CertificateError::UnknownIssuer.into())));
        assert_eq!(checked(root.der()), None, "others are the library's to judge");
        let private = |key: &KeyPair| PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        assert!(certified(vec![good.clone()], private(&key), &provider).is_ok());
        assert!(certified(vec![good], private(&root_key), &provider).is_err(), "the key of another");
    }
}
