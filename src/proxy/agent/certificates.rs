//! The workload's certificate: obtained, renewed at half its life, kept on disk, handed to the data path.
//!
//! Certificates come from the mesh's authority or, where the platform mounts them, from files. A failed renewal is
//! tried again and changes nothing meanwhile; connections that are open keep the certificate they began with.

mod authority;
mod files;
mod lifetime;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use sagene_base::backoff::{Backoff, BackoffPolicy, random_fraction};
use sagene_base::readiness::ReadinessGate;
use tokio::sync::watch;

use super::saved_state::SavedState;
use super::secrets::{self, Material};
use super::status::AgentMetrics;
use crate::config::ConfigStore;
pub(crate) use authority::Authority;
pub(crate) use files::MountedFiles;
use lifetime::Lifetime;
use sagene_identity::authority::split_pem;
use sagene_identity::succession::certificates as certificates_of;

/// How often mounted files are looked at.
const FILE_PERIOD: Duration = Duration::from_secs(10);

/// When the trusted roots change, a certificate from below the new ones is asked for after this long, or up to half as long again: a new
/// authority is trusted everywhere before it signs.
pub(crate) const CATCH_UP: Duration = Duration::from_secs(12);

/// How often the clock is looked at while a certificate is good: a machine that slept, or whose clock was set, may need another at once.
const CLOCK_PERIOD: Duration = Duration::from_secs(20);

/// Why there is no (new) certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The authority did not give one.
    #[error("the certificate authority gave no certificate")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A mounted file is not readable.
    #[error("cannot read {path}")]
    File { path: String, source: std::io::Error },
    /// What was given is no certificate.
    #[error("what was given is not a certificate in PEM")]
    NotACertificate,
    /// It cannot be used any more.
    #[error("the certificate ended at {0}")]
    Expired(jiff::Timestamp),
    /// The data path does not take it.
    #[error("the certificate is not usable: {0}")]
    Refused(String),
}

/// Where certificates come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// A certificate that is good now.
    fn obtain(&self) -> BoxFuture<'_, Result<Material, CertificateError>>;

    /// When to look again whatever the certificate's life; `None` = only its life counts.
    fn period(&self) -> Option<Duration>;
}

/// Keeps the data path supplied.
pub(crate) struct Certificates {
    pub(crate) source: Box<dyn Source>,
    pub(crate) store: Arc<ConfigStore>,
    pub(crate) saved: SavedState,
    pub(crate) metrics: Arc<AgentMetrics>,
    /// More roots to trust, PEM.
    pub(crate) trust_bundle: watch::Receiver<Vec<String>>,
    /// See [`CATCH_UP`].
    pub(crate) catch_up: Duration,
    pub(crate) current: Option<Material>,
    pub(crate) version: u64,
}

impl Certificates {
    /// Brings back the certificate of the last run, if it is still good.
    pub(crate) fn restore(&mut self) {
        let Some(material) = self.saved.load_certificate() else {
            return;
        };
        match self.apply(material) {
            Ok(lifetime) => tracing::info!(until = %lifetime.end(), "last certificate restored"),
            Err(error) => tracing::info!(%error, "the certificate of the last run is not usable"),
        }
    }

    /// Renews until the process ends; `ready` is told once there is a certificate.
    pub(crate) async fn run(mut self, ready: ReadinessGate) {
        let mut ready = Some(ready);
        if self.current.is_some()
            && let Some(gate) = ready.take()
        {
            gate.ready();
        }
        let mut backoff = Backoff::new(BackoffPolicy::default());
        loop {
            let pause = match self.renew().await {
                Ok(lifetime) => {
                    backoff.reset();
                    if let Some(gate) = ready.take() {
                        gate.ready();
                    }
                    let until_renewal = lifetime.until_renewal(SystemTime::now());
                    self.source.period().map_or(until_renewal, |period| period.min(until_renewal))
                }
                Err(error) => {
                    self.metrics.certificate(None);
                    tracing::warn!(error = %sagene_base::task::error_chain(&error), "no new certificate");
                    backoff.next_delay()
                }
            };
            self.wait(pause).await;
        }
    }

    /// Waits; a change of the roots to trust takes effect meanwhile, and brings the next certificate forward.
    async fn wait(&mut self, pause: Duration) {
        let mut deadline = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                () = tokio::time::sleep(CLOCK_PERIOD) => if self.is_due(SystemTime::now()) {
                    return;
                },
                changed = self.trust_bundle.changed() => {
                    if changed.is_err() {
                        tokio::time::sleep_until(deadline).await;
                        return;
                    }
                    if let Some(material) = self.current.clone()
                        && let Err(error) = self.apply(material)
                    {
                        tracing::warn!(%error, "new roots could not be taken");
                    }
                    if self.roots_differ() {
                        let soon = self.catch_up.mul_f64(1.0 + 0.5 * random_fraction());
                        deadline = deadline.min(tokio::time::Instant::now() + soon);
                    }
                }
            }
        }
    }

    /// Whether the clock says that another certificate is needed, whatever was waited for.
    fn is_due(&self, now: SystemTime) -> bool {
        let lifetime = self.current.as_ref().and_then(|material| lifetime::of(&material.chain).ok());
        lifetime.is_some_and(|lifetime| lifetime.is_over(now))
    }

    /// Whether discovery tells of other roots than those the certificate came with.
    fn roots_differ(&self) -> bool {
        let told = self.trust_bundle.borrow().join("\n");
        let own =
            self.current.as_ref().map(|material| certificates_of(&String::from_utf8_lossy(&material.roots)));
        !told.is_empty() && own.is_some_and(|own| own != certificates_of(&told))
    }

    async fn renew(&mut self) -> Result<Lifetime, CertificateError> {
        let material = self.source.obtain().await?;
        if self.current.as_ref() == Some(&material) {
            return lifetime::of(&material.chain);
        }
        let lifetime = self.apply(material)?;
        self.metrics.certificate(Some(lifetime.not_after));
        tracing::info!(until = %lifetime.end(), "certificate in force");
        if let Some(material) = &self.current
            && let Err(error) = self.saved.save_certificate(material)
        {
            tracing::warn!(%error, "cannot keep the certificate on disk; a restarted proxy will need the control plane");
        }
        Ok(lifetime)
    }

    /// Hands a certificate to the data path.
    fn apply(&mut self, material: Material) -> Result<Lifetime, CertificateError> {
        let lifetime = lifetime::of(&material.chain)?;
        if lifetime.not_after <= SystemTime::now() {
            return Err(CertificateError::Expired(lifetime.end()));
        }
        let mut handed = material.clone();
        add_roots(&mut handed.roots, &self.trust_bundle.borrow());
        self.version += 1;
        self.store.apply(secrets::update(&handed, &self.version.to_string())).map_err(|rejections| {
            CertificateError::Refused(
                rejections.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            )
        })?;
        self.current = Some(material);
        Ok(lifetime)
    }
}

/// Adds the certificates of `more` that are not among `roots`; all PEM.
fn add_roots(roots: &mut Vec<u8>, more: &[String]) {
    let mut known = certificates_of(&String::from_utf8_lossy(roots));
    for root in more.iter().flat_map(|bundle| split_pem(bundle)) {
        let fresh = certificates_of(&root);
        if fresh.is_subset(&known) {
            continue;
        }
        if !roots.ends_with(b"\n") {
            roots.push(b'\n');
        }
        roots.extend_from_slice(root.as_bytes());
        known.extend(fresh);
    }
}
