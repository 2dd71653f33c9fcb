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
use sagene_base::backoff::{Backoff, BackoffPolicy};
use sagene_base::readiness::ReadinessGate;
use tokio::sync::watch;

use super::saved_state::SavedState;
use super::secrets::{self, Material};
use super::status::AgentMetrics;
use crate::config::ConfigStore;
pub(crate) use authority::Authority;
pub(crate) use files::MountedFiles;
use lifetime::Lifetime;

/// How often mounted files are looked at.
const FILE_PERIOD: Duration = Duration::from_secs(10);

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

    /// Waits; a change of the roots to trust takes effect meanwhile.
    async fn wait(&mut self, pause: Duration) {
        let deadline = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
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
                }
            }
        }
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
        for root in self.trust_bundle.borrow().iter() {
            if !handed.roots.ends_with(b"\n") {
                handed.roots.push(b'\n');
            }
            handed.roots.extend_from_slice(root.trim().as_bytes());
        }
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
