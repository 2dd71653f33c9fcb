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
use sagene_identity::authority::{AuthorityError, root_store};
use thiserror::Error;

use super::authorities::{Authorities, InForce};
use crate::options::ControlPlaneOptions;

/// Life of the serving certificate.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the clock is looked at: a machine that slept, or whose clock was set, may need another certificate at once.
const CLOCK_PERIOD: Duration = Duration::from_secs(20);

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
    authorities: Arc<Authorities>,
    names: Vec<String>,
    identity: String,
    current: ArcSwap<Configurations>,
}

struct Configurations {
    mesh: Arc<ServerConfig>,
    webhook: Arc<ServerConfig>,
    made: SystemTime,
    renew_at: SystemTime,
}

impl Configurations {
    /// Past the time of renewal, or the clock was set back to before the certificate was made.
    fn is_over(&self, now: SystemTime) -> bool {
        now < self.made || now >= self.renew_at
    }
}

impl ServerTls {
    pub(crate) fn new(
        authorities: Arc<Authorities>,
        options: &ControlPlaneOptions,
        trust_domain: &str,
    ) -> Result<Self, TlsError> {
        let names = options.dns_names();
        let identity = format!("spiffe://{trust_domain}/ns/{}/sa/istiod", options.namespace);
        let current = ArcSwap::from_pointee(configurations(&authorities.current(), &names, &identity)?);
        Ok(Self { authorities, names, identity, current })
    }

    /// For 15012: HTTP/2, client certificates of the mesh are verified where there are any.
    pub(crate) fn mesh(&self) -> Arc<ServerConfig> {
        self.current.load().mesh.clone()
    }

    /// For 15017: no client certificates.
    pub(crate) fn webhook(&self) -> Arc<ServerConfig> {
        self.current.load().webhook.clone()
    }

    /// Renews at half the certificate's life, and whenever another authority or root comes into force, until the process ends.
    pub(crate) async fn renew(self: Arc<Self>) {
        let mut changes = self.authorities.changes();
        loop {
            // A period without a change is the normal case.
            let changed = tokio::time::timeout(CLOCK_PERIOD, changes.changed()).await.is_ok();
            if !changed && !self.current.load().is_over(SystemTime::now()) {
                continue;
            }
            let in_force = changes.borrow_and_update().clone();
            match configurations(&in_force, &self.names, &self.identity) {
                Ok(fresh) => self.current.store(Arc::new(fresh)),
                Err(error) => {
                    let error = sagene_base::task::error_chain(&error);
                    tracing::error!(%error, "serving certificate not renewed, the old one stays");
                }
            }
        }
    }
}

fn configurations(in_force: &InForce, names: &[String], identity: &str) -> Result<Configurations, TlsError> {
    let own = in_force.authority.issue_server(names, identity, LIFETIME)?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(own.chain.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let roots = root_store(&in_force.roots)?;
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
    let made = SystemTime::now();
    let life = own.not_after.duration_since(made).unwrap_or_default();
    let renew_at = made + life.mul_f64(0.5 * (0.9 + 0.2 * random_fraction()));
    Ok(Configurations { mesh: Arc::new(mesh), webhook: Arc::new(webhook), made, renew_at })
}
