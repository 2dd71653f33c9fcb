//! The asynchronous runtime of one-shot commands: one thread, started only by commands that need it.

use std::future::Future;

use crate::exit::{Failure, Outcome};

/// Runs a command's future to its end; Ctrl-C ends the process as usual.
pub(crate) fn block_on<F: Future<Output = Outcome>>(future: F) -> Outcome {
    install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from(error).context("cannot start the asynchronous runtime"))?;
    runtime.block_on(future)
}

/// Names the one crypto provider. A second call finds it already there, which is fine.
fn install_crypto() {
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
