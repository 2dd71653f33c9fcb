//! A root, and the certificates of the two sidecars, made anew for each run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// The name in the receiving sidecar's certificate.
pub(crate) const SERVER_NAME: &str = "server.bench.test";
/// Its identity.
pub(crate) const SERVER_IDENTITY: &str = "spiffe://cluster.local/ns/bench/sa/server";

/// Files in PEM form.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    pub(crate) root: PathBuf,
    pub(crate) client: Leaf,
    pub(crate) server: Leaf,
}

/// Chain, key, and both in one file.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) both: PathBuf,
}

impl Certificates {
    pub(crate) fn write(folder: &Path) -> anyhow::Result<Self> {
        let root_key = KeyPair::generate()?;
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "bench root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_file = folder.join("root.pem");
        std::fs::write(&root_file, root.self_signed(&root_key)?.pem())
            .context("cannot write certificates")?;
        let issuer = Issuer::new(root, root_key);
        Ok(Self {
            client: leaf(
                folder,
                "client",
                "client.bench.test",
                "spiffe://cluster.local/ns/bench/sa/client",
                &issuer,
            )?,
            server: leaf(folder, "server", SERVER_NAME, SERVER_IDENTITY, &issuer)?,
            root: root_file,
        })
    }
}

fn leaf(
    folder: &Path,
    file: &str,
    name: &str,
    identity: &str,
    issuer: &Issuer<'_, KeyPair>,
) -> anyhow::Result<Leaf> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Another subject than the issuer's: a leaf must not look self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(identity.try_into()?), SanType::DnsName(name.try_into()?)];
    let (chain, key) = (params.signed_by(&key, issuer)?.pem(), key.serialize_pem());
    let path = |end: &str| folder.join(format!("{file}.{end}"));
    let leaf = Leaf { chain: path("crt"), key: path("key"), both: path("pem") };
    std::fs::write(&leaf.chain, &chain)?;
    std::fs::write(&leaf.key, &key)?;
    std::fs::write(&leaf.both, [chain, key].concat())?;
    Ok(leaf)
}
