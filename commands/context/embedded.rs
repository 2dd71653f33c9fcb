//! The embedded cluster of this machine, as far as the CLI has to know it: where its kubeconfig is.

use std::path::PathBuf;

/// Name of its kubeconfig context.
pub(crate) const EMBEDDED_CONTEXT: &str = "sagene-embedded";

/// The kubeconfig it wrote, if there is one.
pub(crate) fn kubeconfig() -> Option<PathBuf> {
    let path = state_directory()?.join("kubeconfig");
    path.exists().then_some(path)
}

/// `$SAGENE_HOME`, else `$XDG_STATE_HOME/sagene`, else `~/.local/state/sagene`.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("SAGENE_HOME")
        .or_else(|| variable("XDG_STATE_HOME").map(|state| state.join("sagene")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state/sagene")))
}

/// Starts the cluster, or finds it running.
pub(crate) async fn start() -> Result<(), crate::exit::Failure> {
    Err(crate::exit::Failure::new("the embedded cluster cannot be started yet"))
}
