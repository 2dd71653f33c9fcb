//! The cluster's own keys and certificates, kept in the state folder: the CA, the serving certificate, the administrator's client
//! certificate and the key that signs service-account tokens.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::AdminCredentials;
use super::services::KUBERNETES_SERVICE_IP;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const TOKEN_KEY: &str = "sa.key";
/// Names by which pods and people reach the server.
const SERVING_NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Why keys or certificates could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the state folder cannot be read or written.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// A file of the state folder is not what this program wrote.
    #[error("{0} is damaged; remove it together with ca.crt and ca.key to make new certificates")]
    Damaged(PathBuf, #[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Everything the server needs to prove who it is and to know others.
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    pub(crate) ca: CertificateDer<'static>,
    pub(crate) serving_chain: Vec<CertificateDer<'static>>,
    pub(crate) serving_key: PrivateKeyDer<'static>,
    pub(crate) admin: AdminCredentials,
    /// P-256 key of service-account tokens.
    pub(crate) token_key: KeyPair,
}

impl Pki {
    /// Reads what is there and makes what is missing. Leaf certificates are made anew at every start.
    pub(crate) fn open(folder: &Path, node_ip: Option<IpAddr>) -> Result<Self, PkiError> {
        let certificate = folder.join(CA_CERTIFICATE);
        // One without the other is worth nothing: a new key gets a new certificate.
        if !folder.join(CA_KEY).exists() && certificate.exists() {
            fs::remove_file(&certificate).map_err(|error| PkiError::File(certificate.clone(), error))?;
        }
        let key = read_or_make_key(&folder.join(CA_KEY))?;
        let ca_pem = match fs::read_to_string(&certificate) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = ca_params().self_signed(&key)?.pem();
                write_private(&certificate, &pem)?;
                pem
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(PkiError::Damaged(certificate, rcgen::Error::CouldNotParseCertificate));
            }
            Err(error) => return Err(PkiError::File(certificate, error)),
        };
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key)
            .map_err(|error| PkiError::Damaged(certificate.clone(), error))?;
        let ca = pem_to_der(&ca_pem)
            .ok_or(PkiError::Damaged(certificate, rcgen::Error::CouldNotParseCertificate))?;
        let serving_key = KeyPair::generate()?;
        let serving = serving_params(node_ip)?.signed_by(&serving_key, &issuer)?;
        let admin_key = KeyPair::generate()?;
        let admin =
            client_params("kubernetes-admin", super::actor::MASTERS).signed_by(&admin_key, &issuer)?;
        Ok(Self {
            serving_chain: vec![serving.der().clone(), ca.clone()],
            serving_key: PrivatePkcs8KeyDer::from(serving_key.serialize_der()).into(),
            admin: AdminCredentials {
                ca_certificate: ca_pem.clone(),
                client_certificate: admin.pem(),
                client_key: admin_key.serialize_pem(),
            },
            token_key: read_or_make_key(&folder.join(TOKEN_KEY))?,
            ca_pem,
            ca,
        })
    }
}

fn pem_to_der(pem: &str) -> Option<CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

fn read_or_make_key(path: &Path) -> Result<KeyPair, PkiError> {
    match fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| PkiError::Damaged(path.to_owned(), error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate()?;
            write_private(path, &key.serialize_pem())?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(PkiError::Damaged(path.to_owned(), rcgen::Error::CouldNotParseKeyPair))
        }
        Err(error) => Err(PkiError::File(path.to_owned(), error)),
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let failed = |error| PkiError::File(path.to_owned(), error);
    let temporary = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(3650);
    params
}

fn ca_params() -> CertificateParams {
    let mut params = named("kubernetes");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn serving_params(node_ip: Option<IpAddr>) -> Result<CertificateParams, PkiError> {
    let mut params = named("kube-apiserver");
    for name in SERVING_NAMES {
        params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
    }
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(KUBERNETES_SERVICE_IP)];
    for address in addresses.into_iter().chain(node_ip) {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client_params(user: &str, group: &str) -> CertificateParams {
    let mut params = named(user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_authority_is_made_anew_and_garbage_is_told_with_a_way_out() {
        let folder = tempfile::TempDir::new().expect("folder");
        let open = || Pki::open(folder.path(), None);
        let first = open().expect("new").ca_pem;
        assert_eq!(open().expect("kept").ca_pem, first);
        fs::remove_file(folder.path().join(CA_KEY)).expect("removed");
        let second = open().expect("made anew").ca_pem;
        assert_ne!(second, first, "a certificate of a key that is gone proves nothing");
        for file in [CA_KEY, CA_CERTIFICATE, TOKEN_KEY] {
            let whole = fs::read(folder.path().join(file)).expect("read");
            for garbage in [&b""[..], b"\xff\xfe"] {
                fs::write(folder.path().join(file), garbage).expect("written");
                let told = open().err().expect("refused").to_string();
                assert!(told.contains(file) && told.contains("remove it"), "{told}");
            }
            fs::write(folder.path().join(file), whole).expect("restored");
        }
        assert_eq!(open().expect("whole again").ca_pem, second);
    }
}
