//! The mesh's certificate authority: makes its own root or uses one that is plugged in, and signs requests.
//!
//! What a certificate says comes from the authenticated caller alone. Of the request only the public key is used, after its
//! signature proved that the caller has the private one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;
use time::OffsetDateTime;

use crate::material::AuthorityMaterial;

/// Life of a self-signed root: ten years.
pub const ROOT_TTL: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// Certificates begin to be valid this long before they are made, because clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// How long certificates live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// When the caller asks for nothing (`DEFAULT_WORKLOAD_CERT_TTL`). Default 24 h.
    pub default: Duration,
    /// Longest that is granted (`MAX_WORKLOAD_CERT_TTL`). Default 90 days.
    pub max: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { default: Duration::from_secs(24 * 60 * 60), max: Duration::from_secs(90 * 24 * 60 * 60) }
    }
}

/// Why there is no authority, or no certificate from it.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A certificate of the material cannot be read.
    #[error("{0} is no valid certificate in PEM")]
    Certificate(&'static str),
    /// The signing certificate must not sign.
    #[error("the signing certificate is not one of an authority (basic constraints CA:TRUE)")]
    NotAnAuthority,
    /// The key cannot be read.
    #[error("the authority's key cannot be read; use an RSA or EC key in PEM, without a password")]
    Key(#[source] rcgen::Error),
    /// The key belongs to another certificate.
    #[error("the authority's key does not belong to its certificate")]
    KeyMismatch,
    /// Peers would refuse what it signs.
    #[error(
        "peers that trust root-cert.pem do not accept what the authority signs; ca-cert.pem must come from it, by way of cert-chain.pem"
    )]
    NotUnderRoot(#[source] rustls::Error),
    /// The signing certificate has ended.
    #[error("the authority's certificate has expired; renew it before certificates can be issued")]
    Expired,
    /// More life was asked for than is granted.
    #[error("the requested lifetime of {requested:?} is over the limit of {limit:?}")]
    Lifetime {
        /// What was asked for.
        requested: Duration,
        /// What is granted at most.
        limit: Duration,
    },
    /// The request is malformed or its signature is wrong.
    #[error("the certificate signing request is not valid")]
    Request(#[source] rcgen::Error),
    /// An identity or name holds characters that a certificate cannot.
    #[error("{0:?} cannot stand in a certificate")]
    Name(String),
    /// The cryptography failed.
    #[error("cannot sign")]
    Sign(#[source] rcgen::Error),
}

/// A certificate with its key, for our own servers.
pub struct ServerCertificate {
    /// Leaf first, PEM.
    pub chain: String,
    /// PKCS#8 in PEM.
    pub key: String,
    /// When it ends.
    pub not_after: SystemTime,
}

/// The authority; share it behind an `Arc`.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    material: AuthorityMaterial,
    not_after: OffsetDateTime,
    root_not_after: OffsetDateTime,
    lifetimes: Lifetimes,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CertificateAuthority")
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

/// A new self-signed root with an ECDSA P-256 key. `organization` is the trust domain.
pub fn self_signed(organization: &str, lifetime: Duration) -> Result<AuthorityMaterial, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Sign)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, organization);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    (parameters.not_before, parameters.not_after) = (now - CLOCK_SKEW, now + lifetime);
    let certificate = parameters.self_signed(&key).map_err(AuthorityError::Sign)?.pem();
    Ok(AuthorityMaterial {
        root: certificate.clone(),
        certificate,
        key: key.serialize_pem(),
        chain: String::new(),
    })
}

impl CertificateAuthority {
    /// Checks the material and makes an authority of it.
    pub fn new(material: AuthorityMaterial, lifetimes: Lifetimes) -> Result<Self, AuthorityError> {
        let key = signing_key(&material.key).map_err(AuthorityError::Key)?;
        let signing = Facts::read(&material.certificate, &key, "ca-cert.pem")?;
        if !signing.is_authority {
            return Err(AuthorityError::NotAnAuthority);
        }
        if !signing.has_key {
            return Err(AuthorityError::KeyMismatch);
        }
        let root = Facts::read(&material.root, &key, "root-cert.pem")?;
        let issuer = Issuer::from_ca_cert_der(&der(&material.certificate, "ca-cert.pem")?, key)
            .map_err(|_| AuthorityError::Certificate("ca-cert.pem"))?;
        let (not_after, root_not_after) = (signing.not_after, root.not_after);
        let made = Self { issuer, material, not_after, root_not_after, lifetimes };
        match trial::accepted(&made, made.root()) {
            // One that has ended is told of when it is asked to sign.
            Ok(()) | Err(AuthorityError::Expired) => Ok(made),
            Err(error) => Err(error),
        }
    }

    /// Whether it was made of this material.
    pub fn is_of(&self, material: &AuthorityMaterial) -> bool {
        self.material == *material
    }

    /// Whether both were made of the same material.
    pub fn has_same_material(&self, other: &Self) -> bool {
        self.is_of(&other.material)
    }

    /// Whether peers that trust `roots` (PEM) accept what it signs.
    pub fn is_trusted_by(&self, roots: &str) -> bool {
        trial::accepted(self, roots).is_ok()
    }

    /// Root certificates in PEM: what everyone in the mesh trusts.
    pub fn root(&self) -> &str {
        &self.material.root
    }

    /// When the root ends.
    pub fn root_not_after(&self) -> SystemTime {
        self.root_not_after.into()
    }

    /// When the signing certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after.into()
    }

    /// Signs a request for the caller's `identities` (SPIFFE URIs). Leaf first, then the chain as it was plugged in; every entry ends in a
    /// newline.
    pub fn sign(
        &self,
        csr: &str,
        identities: &[String],
        lifetime: Option<Duration>,
    ) -> Result<Vec<String>, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(csr).map_err(AuthorityError::Request)?;
        let names = identities.iter().map(|identity| uri(identity)).collect::<Result<Vec<_>, _>>()?;
        let parameters = self.leaf(names, lifetime)?;
        let leaf = parameters.signed_by(&request.public_key, &self.issuer).map_err(AuthorityError::Sign)?;
        let mut chain = vec![leaf.pem()];
        chain.extend(self.chain());
        Ok(chain)
    }

    /// What is served beside a leaf: `cert-chain.pem` as it is, the root included where it stands there, and the signing certificate even where
    /// it does not; nothing for a self-signed root.
    fn chain(&self) -> Vec<String> {
        let mut chain = split_pem(&self.material.chain);
        let roots = split_pem(&self.material.root);
        let signer = split_pem(&self.material.certificate).into_iter().next();
        if let Some(signer) = signer.filter(|signer| !roots.contains(signer) && !chain.contains(signer)) {
            chain.insert(0, signer);
        }
        chain
    }

    /// A certificate for a server of the control plane, for DNS names and a SPIFFE identity.
    pub fn issue_server(
        &self,
        dns_names: &[String],
        identity: &str,
        lifetime: Duration,
    ) -> Result<ServerCertificate, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Sign)?;
        let mut names = vec![uri(identity)?];
        for name in dns_names {
            let dns = name.as_str().try_into().map_err(|_| AuthorityError::Name(name.clone()))?;
            names.push(SanType::DnsName(dns));
        }
        let parameters = self.leaf(names, Some(lifetime.min(self.lifetimes.max)))?;
        let leaf = parameters.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)?;
        let mut chain = leaf.pem();
        chain.extend(self.chain());
        Ok(ServerCertificate { chain, key: key.serialize_pem(), not_after: parameters.not_after.into() })
    }

    fn leaf(
        &self,
        names: Vec<SanType>,
        lifetime: Option<Duration>,
    ) -> Result<CertificateParams, AuthorityError> {
        let lifetime = lifetime.unwrap_or(self.lifetimes.default);
        if lifetime > self.lifetimes.max {
            return Err(AuthorityError::Lifetime { requested: lifetime, limit: self.lifetimes.max });
        }
        let now = OffsetDateTime::now_utc();
        if self.not_after <= now {
            return Err(AuthorityError::Expired);
        }
        let mut parameters = CertificateParams::default();
        // Without a subject the alternative names are marked critical, as SPIFFE demands.
        parameters.distinguished_name = DistinguishedName::new();
        parameters.subject_alt_names = names;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.use_authority_key_identifier_extension = true;
        parameters.not_before = now - CLOCK_SKEW;
        // No leaf outlives the certificate that signed it.
        parameters.not_after = (now + lifetime).min(self.not_after);
        Ok(parameters)
    }
}

/// What is read off a certificate.
struct Facts {
    not_after: OffsetDateTime,
    is_authority: bool,
    has_key: bool,
}

impl Facts {
    fn read(pem: &str, key: &KeyPair, name: &'static str) -> Result<Self, AuthorityError> {
        let der = der(pem, name)?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&der).map_err(|_| AuthorityError::Certificate(name))?;
        let public = &certificate.public_key().subject_public_key.data;
        Ok(Self {
            not_after: certificate.validity().not_after.to_datetime(),
            is_authority: certificate.is_ca(),
            has_key: public.as_ref() == key.public_key_raw(),
        })
    }
}

/// The first certificate of a PEM text.
fn der(pem: &str, name: &'static str) -> Result<CertificateDer<'static>, AuthorityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| AuthorityError::Certificate(name))
}

/// PKCS#8, PKCS#1 or SEC1, with anything else before it (`openssl ecparam` writes its parameters there).
fn signing_key(pem: &str) -> Result<KeyPair, rcgen::Error> {
    let key =
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    KeyPair::try_from(&key)
}

fn uri(identity: &str) -> Result<SanType, AuthorityError> {
    let name = identity.try_into().map_err(|_| AuthorityError::Name(identity.to_owned()))?;
    Ok(SanType::URI(name))
}

fn with_newline(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}

/// Each certificate of a PEM text on its own.
pub fn split_pem(text: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    text.split_inclusive(END)
        .filter(|entry| entry.contains(END))
        .filter_map(|entry| {
            entry.find("-----BEGIN CERTIFICATE-----").map(|start| with_newline(&entry[start..]))
        })
        .collect()
}

/// The roots of a PEM text as rustls wants them.
pub fn root_store(pem: &str) -> Result<Arc<rustls::RootCertStore>, AuthorityError> {
    let wrong = || AuthorityError::Certificate("the root bundle");
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    if store.is_empty() { Err(wrong()) } else { Ok(Arc::new(store)) }
}

mod trial;

#[cfg(test)]
mod tests;
