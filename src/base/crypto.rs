//! The one crypto provider of the whole program: aws-lc-rs.
//!
//! Every rustls configuration is built from [`provider`], so that no code depends on a process-wide default; libraries that do
//! (reqwest, kube) find the same one after [`install`].

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// The shared provider; cheap to clone.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// Makes aws-lc-rs the process default. Calling it again does nothing.
pub fn install() {
    // A second call finds the slot taken by the same provider; there is nothing to report.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
