//! A certificate authority's key material as Istio keeps it in a Secret: self-signed in `istio-ca-secret`, plugged in as `cacerts`.

use std::collections::BTreeMap;

/// Name of the Secret a self-signed authority lives in.
pub const SELF_SIGNED_SECRET: &str = "istio-ca-secret";
/// Name of the Secret (and key prefix of the mount) of a plugged-in authority.
pub const PLUGGED_IN_SECRET: &str = "cacerts";
/// `type` of the self-signed Secret.
pub const SELF_SIGNED_SECRET_TYPE: &str = "istio.io/ca-root";

/// PEM texts of an authority. The key never leaves the control plane and its Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityMaterial {
    /// The certificate that signs.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Certificates from the signing one up, as they are served; empty for a self-signed authority.
    pub chain: String,
    /// The root that peers trust.
    pub root: String,
}

impl std::fmt::Debug for AuthorityMaterial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AuthorityMaterial").field("root", &self.root).finish_non_exhaustive()
    }
}

impl AuthorityMaterial {
    /// Reads a Secret's (or directory's) entries by Istio's names, or by those of `kubernetes.io/tls`. The error names what is
    /// missing.
    pub fn from_entries(entries: &BTreeMap<String, Vec<u8>>) -> Result<Self, &'static str> {
        let text = |name: &str| {
            let text = String::from_utf8_lossy(entries.get(name)?).into_owned();
            (!text.trim().is_empty()).then_some(text)
        };
        let certificate = text("ca-cert.pem").or_else(|| text("tls.crt")).ok_or("ca-cert.pem")?;
        let key = text("ca-key.pem").or_else(|| text("tls.key")).ok_or("ca-key.pem")?;
        let root = text("root-cert.pem").or_else(|| text("ca.crt"));
        let root = root.unwrap_or_else(|| certificate.clone());
        let chain = text("cert-chain.pem").unwrap_or_default();
        Ok(Self { certificate, key, chain, root })
    }

    /// The entries of `istio-ca-secret`.
    pub fn to_entries(&self) -> BTreeMap<String, Vec<u8>> {
        [
            ("ca-cert.pem", self.certificate.clone()),
            ("ca-key.pem", self.key.clone()),
            ("cert-chain.pem", String::new()),
            ("key.pem", String::new()),
            ("root-cert.pem", self.root.clone()),
        ]
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .into()
    }
}
