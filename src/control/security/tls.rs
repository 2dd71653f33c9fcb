//! TLS of the control plane's own servers: a certificate of its own authority, renewed at half its life without dropping anyone.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use sagene_base::backoff::random_fraction;
use sagene_identity::authority::{AuthorityError, CertificateAuthority, root_store};
use thiserror::Error;

use crate::options::ControlPlaneOptions;

/// Life of the serving certificate.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificate.
    #[error("no certificate for the control plane's own servers")]
    Certificate(#[from] AuthorityError),
    /// The client verifier cannot be built.
    #[error("the mesh's root cannot verify clients")]
    Verifier(#[from] VerifierBuilderError),
    /// rustls refuses.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
    /// Our own PEM cannot be read.
    #[error("the serving certificate cannot be read")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

/// The server configurations in force.
pub(crate) struct ServerTls {
    authority: Arc<CertificateAuthority>,
    names: Vec<String>,
    identity: String,
    current: ArcSwap<Configurations>,
}

struct Configurations {
    mesh: Arc<ServerConfig>,
    webhook: Arc<ServerConfig>,
    renew_in: Duration,
}

impl ServerTls {
    pub(crate) fn new(
        authority: Arc<CertificateAuthority>,
        options: &ControlPlaneOptions,
        trust_domain: &str,
    ) -> Result<Self, TlsError> {
        let names = options.dns_names();
        let identity = format!("spiffe://{trust_domain}/ns/{}/sa/istiod", options.namespace);
        let current = ArcSwap::from_pointee(configurations(&authority, &names, &identity)?);
        Ok(Self { authority, names, identity, current })
    }

    /// For 15012: HTTP/2, client certificates of the mesh are verified where there are any.
    pub(crate) fn mesh(&self) -> Arc<ServerConfig> {
        self.current.load().mesh.clone()
    }

    /// For 15017: no client certificates.
    pub(crate) fn webhook(&self) -> Arc<ServerConfig> {
        self.current.load().webhook.clone()
    }

    /// Renews at half the certificate's life until the process ends.
    pub(crate) async fn renew(self: Arc<Self>) {
        loop {
            let pause = self.current.load().renew_in.mul_f64(0.9 + 0.2 * random_fraction());
            tokio::time::sleep(pause.max(Duration::from_secs(1))).await;
            match configurations(&self.authority, &self.names, &self.identity) {
                Ok(fresh) => self.current.store(Arc::new(fresh)),
                Err(error) => {
                    let error = sagene_base::task::error_chain(&error);
                    tracing::error!(%error, "serving certificate not renewed, the old one stays");
                }
            }
        }
    }
}

fn configurations(
    authority: &CertificateAuthority,
    names: &[String],
    identity: &str,
) -> Result<Configurations, TlsError> {
    let own = authority.issue_server(names, identity, LIFETIME)?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(own.chain.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let roots = root_store(authority.root())?;
    let provider = sagene_base::crypto::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .allow_unauthenticated()
        .build()?;
    let builder =
        || ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let mut mesh =
        builder()?.with_client_cert_verifier(verifier).with_single_cert(chain.clone(), key.clone_key())?;
    mesh.alpn_protocols = vec![b"h2".to_vec()];
    let mut webhook = builder()?.with_no_client_auth().with_single_cert(chain, key)?;
    webhook.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let life = own.not_after.duration_since(SystemTime::now()).unwrap_or_default();
    Ok(Configurations { mesh: Arc::new(mesh), webhook: Arc::new(webhook), renew_in: life / 2 })
}
